import { formatBytes } from "../config/bytes.ts";
import { formatHostPort, parseHostPort } from "../config/host-port.ts";
import type { Path } from "../config/path.ts";
import { probeAttributeFault } from "../config/target-schema.ts";
import { isFault } from "../text/fault.ts";
import { compilePattern } from "../text/pattern.ts";
import { listed, type Report, spanOf, spanRemark } from "./conversion.ts";
import { remark, type Value } from "./draft.ts";
import { cutsOf, sayCuts } from "./telegraf-filters.ts";
import type { NetResponse } from "./telegraf-schema.ts";
import { mapOfTexts, readSpan, refers, textOf } from "./telegraf-values.ts";

/** Telegraf's for both of its timeouts. */
export const probeTimeoutMs = 1000;

const noStart = "Telegraf does not start with it";

const bytesOf = (text: string): string =>
  formatBytes(Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join(""));

/** The URL of a target; undefined where it is faulty. */
const urlOf = ({ protocol, address }: NetResponse, path: Path, report: Report): string | undefined => {
  if (protocol !== "tcp" && protocol !== "udp") {
    const at = protocol === undefined ? path : [...path, "protocol"];
    report(at, `${protocol === undefined ? "protocol " : ""}must be tcp or udp: ${noStart}`);
    return undefined;
  }
  if (address === undefined) {
    report(path, `address is missing: ${noStart}`);
    return undefined;
  }
  const at = [...path, "address"];
  if (refers(address)) {
    if (/:[^:\]]+$/.test(address)) return `${protocol}://${address}`;
    report(at, `must be host:port: ${noStart}`);
    return undefined;
  }
  const ends = parseHostPort(address, 1);
  if (isFault(ends)) {
    const wouldFail = /:\d+$/.test(address) ? "Telegraf would have reported connection_failed each time" : noStart;
    report(at, `${ends.fault}: ${wouldFail}`);
    return undefined;
  }
  return `${protocol}://${formatHostPort({ ...ends, host: ends.host === "" ? "localhost" : ends.host })}`;
};

const checkDialogue = ({ protocol, send, expect }: NetResponse, path: Path, report: Report): void => {
  if (protocol === "udp")
    for (const [key, held] of [
      ["send", send],
      ["expect", expect],
    ] as const)
      if (held === undefined || held === "")
        report(
          held === undefined ? path : [...path, key],
          `${held === undefined ? `${key} is missing` : "must not be empty"}, for udp: ${noStart}`,
        );
  if (expect === undefined || refers(expect)) return;
  const pattern = compilePattern(expect);
  if (isFault(pattern)) report([...path, "expect"], `${pattern.fault}: Telegraf would have ended at the first run`);
};

type Times = {
  readonly interval: number;
  readonly timeout: number;
  readonly silence: number;
  readonly say: string | undefined;
};

const timesOf = (fields: NetResponse, agentMs: number, path: Path, report: Report): Times => {
  const read = (key: "interval" | "timeout" | "read_timeout", otherwise: number): number =>
    readSpan(fields[key], otherwise, [...path, key], report);
  const interval = read("interval", agentMs);
  const connect = read("timeout", probeTimeoutMs);
  const answer = read("read_timeout", probeTimeoutMs);
  const waits = fields.expect !== undefined && fields.expect !== "";
  const timeout = waits ? connect + answer : connect;
  return {
    interval,
    timeout: Math.min(timeout, interval),
    silence: Math.min(answer, interval),
    say:
      timeout > interval
        ? "It waits longer than its interval; the timeout is capped to that."
        : waits
          ? "timeout and read_timeout are one: it holds the lookup, the connection and the answer."
          : undefined,
  };
};

/** A probe instead of [[inputs.net_response]]; undefined where it is faulty. */
export const probeOf = (
  fields: NetResponse,
  agentMs: number,
  nameOf: (wanted: string) => string,
  path: Path,
  report: Report,
): Value | undefined => {
  const url = urlOf(fields, path, report);
  checkDialogue(fields, path, report);
  const { interval, timeout, silence, say } = timesOf(fields, agentMs, path, report);
  if (url === undefined) return undefined;
  const { send = "", expect = "", tags = {}, alias } = fields;
  const wanted = alias === undefined || alias === "" ? url : alias;
  const name = nameOf(wanted);
  const reserved = Object.keys(tags).filter((tag) => probeAttributeFault(tag) !== undefined);
  const kept = Object.fromEntries(Object.entries(tags).filter(([tag]) => !reserved.includes(tag)));
  const target = {
    name: name === url ? undefined : name,
    target: textOf(url),
    interval: interval === agentMs ? undefined : spanOf(interval),
    timeout: timeout === probeTimeoutMs ? undefined : spanOf(timeout),
    send: send === "" ? undefined : textOf(bytesOf(send)),
    expect: expect === "" ? undefined : textOf(expect),
    udp_silence: fields.protocol === "udp" ? spanOf(silence) : undefined,
    attributes: Object.keys(kept).length === 0 ? undefined : mapOfTexts(kept),
  };
  const isPlain = Object.entries(target).every(([key, held]) => key === "target" || held === undefined);
  return remark(
    isPlain ? textOf(url) : target,
    say,
    spanRemark(timeout),
    expect !== "" && fields.protocol === "tcp"
      ? "expect is looked for in all that comes; Telegraf looks at the first line."
      : undefined,
    reserved.length === 0 ? undefined : `The tags ${listed(reserved)} are left out: sockscope sets them itself.`,
    sayCuts(cutsOf(fields, "tagpass", "tagdrop")),
  );
};
