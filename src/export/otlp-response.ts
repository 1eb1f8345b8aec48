/** What OTLP destinations answer with. Bodies come from outside: whatever they hold, nothing here throws. */

export type PartialSuccess = { readonly rejected: number; readonly message: string };

type Field = { readonly number: number; readonly value: number | Uint8Array };

const varint = 0;
const fixed64 = 1;
const lengthDelimited = 2;
const fixed32 = 5;

/** The fields of a message up to its end, or up to the first byte that makes no sense. */
function* fieldsOf(bytes: Uint8Array): Generator<Field, void> {
  let at = 0;
  const readVarint = (): number => {
    let value = 0;
    for (let scale = 1; at < bytes.length; scale *= 0x80) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    return NaN;
  };
  while (at < bytes.length) {
    const tag = readVarint();
    const number = Math.floor(tag / 8);
    switch (tag % 8) {
      case varint:
        yield { number, value: readVarint() };
        break;
      case lengthDelimited: {
        const length = readVarint();
        if (Number.isNaN(length)) return;
        yield { number, value: bytes.subarray(at, at + length) };
        at += length;
        break;
      }
      case fixed64:
        at += 8;
        break;
      case fixed32:
        at += 4;
        break;
      default:
        return;
    }
  }
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** A negative int64 and a varint that is cut off count as 0. */
const count = (value: number): number => (value < 2 ** 63 ? value : 0);

const partialSuccessOf = (message: Uint8Array): PartialSuccess => {
  let rejected = 0;
  let errorMessage = "";
  for (const { number, value } of fieldsOf(message)) {
    if (number === 1 && typeof value === "number") rejected = count(value);
    if (number === 2 && typeof value === "object") errorMessage = text(value);
  }
  return { rejected, message: errorMessage };
};

type JsonMap = { readonly [key: string]: unknown };

/** The map that a JSON text is; an empty one for all that it may be else. */
const jsonMap = (body: Uint8Array): JsonMap => {
  try {
    return mapOf(JSON.parse(text(body)));
  } catch {
    return {};
  }
};

const mapOf = (value: unknown): JsonMap => (typeof value === "object" && value !== null ? (value as JsonMap) : {});

const stringOf = (value: unknown): string => (typeof value === "string" ? value : "");

/** An int64 as the JSON mapping has it: a string, or a number. */
const countOf = (value: unknown): number => {
  const number = typeof value === "string" || typeof value === "number" ? Number(value) : 0;
  return number > 0 ? count(Math.floor(number)) : 0;
};

/** `parsePartialSuccess` of the JSON form: `{"partialSuccess": {"rejectedDataPoints": "2", "errorMessage": "..."}}`. */
export const parseJsonPartialSuccess = (body: Uint8Array): PartialSuccess => {
  const { rejectedDataPoints, errorMessage } = mapOf(jsonMap(body)["partialSuccess"]);
  return { rejected: countOf(rejectedDataPoints), message: stringOf(errorMessage) };
};

/** `message` of a `google.rpc.Status` in JSON; undefined where there is none. */
export const parseJsonStatusMessage = (body: Uint8Array): string | undefined => {
  const { message } = jsonMap(body);
  return typeof message === "string" ? message : undefined;
};

/**
 * `ExportMetricsServiceResponse.partial_success` (field 1: `rejected_data_points` 1, `error_message` 2). A body that is
 * no such message is a full success, as is an empty one.
 */
export const parsePartialSuccess = (body: Uint8Array): PartialSuccess => {
  for (const { number, value } of fieldsOf(body)) {
    if (number === 1 && typeof value === "object") return partialSuccessOf(value);
  }
  return { rejected: 0, message: "" };
};

/** `message` (field 2) of the `google.rpc.Status` that an error is answered with. */
export const parseStatusMessage = (body: Uint8Array): string => {
  for (const { number, value } of fieldsOf(body)) {
    if (number === 2 && typeof value === "object") return text(value);
  }
  return "";
};

const typeName = "google.rpc.RetryInfo";

/** Milliseconds of a `google.protobuf.Duration` (`seconds` 1, `nanos` 2); what is negative counts as 0. */
const durationMs = (duration: Uint8Array): number => {
  let ms = 0;
  for (const { number, value } of fieldsOf(duration)) {
    if (typeof value !== "number") continue;
    if (number === 1) ms += count(value) * 1000;
    if (number === 2) ms += count(value) / 1e6;
  }
  return ms;
};

/** The delay of a `google.rpc.RetryInfo` (`retry_delay` 1) in a `google.protobuf.Any` (`type_url` 1, `value` 2). */
const retryDelayOf = (any: Uint8Array): number | undefined => {
  let isRetryInfo = false;
  let delay = 0;
  for (const { number, value } of fieldsOf(any)) {
    if (typeof value !== "object") continue;
    if (number === 1) isRetryInfo = text(value).endsWith(`/${typeName}`);
    if (number !== 2) continue;
    for (const field of fieldsOf(value))
      if (field.number === 1 && typeof field.value === "object") delay = durationMs(field.value);
  }
  return isRetryInfo ? delay : undefined;
};

/** Milliseconds that the details (field 3) of a `google.rpc.Status` ask to wait for; undefined where they say nothing of a retry. */
export const parseRetryDelay = (status: Uint8Array): number | undefined => {
  for (const { number, value } of fieldsOf(status)) {
    const delay = number === 3 && typeof value === "object" ? retryDelayOf(value) : undefined;
    if (delay !== undefined) return delay;
  }
  return undefined;
};
