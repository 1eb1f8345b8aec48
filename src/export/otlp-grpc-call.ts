import {
  type ClientHttp2Session,
  constants,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  sensitiveHeaders,
} from "node:http2";
import { promisify } from "node:util";
import { gunzip, zstdDecompress } from "node:zlib";
import { maxAnswerBytes, usedAnswerBytes } from "./otlp-connection.ts";
import type { GrpcReply } from "./otlp-grpc-status.ts";
import type { Content } from "./otlp-record.ts";

/*
 * A unary call of gRPC (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). Not by @grpc/grpc-js, which
 * takes no message that is compressed already, as those of the queue are: each attempt would inflate and deflate again.
 */

const exportPath = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/** Before each message: a byte that says whether it is compressed, and four of its length. */
const prefixBytes = 5;

const gunzipAsync = promisify(gunzip);
const unzstdAsync = promisify(zstdDecompress);

/** What may answer in kind. */
const decompressors: ReadonlyMap<string, (body: Uint8Array) => Promise<Uint8Array>> = new Map([
  ["gzip", (body) => gunzipAsync(body, { maxOutputLength: maxAnswerBytes })],
  ["zstd", (body) => unzstdAsync(body, { maxOutputLength: maxAnswerBytes })],
]);

/** The connection ended within a call, for no reason that anybody gave. */
class ConnectionLostError extends Error {
  override readonly name = "ConnectionLostError";
  readonly code = "ERR_CONNECTION_LOST";
}

export type GrpcCall = {
  readonly session: ClientHttp2Session;
  readonly content: Content;
  readonly authority: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
};

/** At most eight digits. */
const timeoutOf = (ms: number): string => (ms < 1e8 ? `${Math.ceil(ms)}m` : `${Math.ceil(ms / 1000)}S`);

const first = (header: string | string[] | undefined): string | undefined =>
  typeof header === "object" ? header[0] : header;

/** The message that the bytes of an answer begin with; whatever is none gives an empty one. */
const messageOf = async (
  answer: Buffer,
  encoding: string | undefined,
): Promise<Pick<GrpcReply, "body" | "oversized">> => {
  const isWhole = answer.length >= prefixBytes;
  const body = isWhole ? answer.subarray(prefixBytes, prefixBytes + answer.readUInt32BE(1)) : new Uint8Array();
  if (!isWhole || answer[0] === 0) return { body, oversized: false };
  try {
    return { body: (await decompressors.get(encoding ?? "")?.(body)) ?? new Uint8Array(), oversized: false };
  } catch (error) {
    const oversized = error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE";
    return { body: new Uint8Array(), oversized };
  }
};

/** Sends a request and reads its answer. Rejects where the connection ends before that is complete. */
export const callExport = async ({ session, content, authority, headers, timeoutMs }: GrpcCall): Promise<GrpcReply> => {
  const { body, encoding } = content;
  const closed = Promise.withResolvers<void>();
  const used: Buffer[] = [];
  let read = 0;
  let head: (IncomingHttpHeaders & IncomingHttpStatusHeader) | undefined;
  let trailers: IncomingHttpHeaders | undefined;
  let failure: Error | undefined;
  const stream = session.request({
    ":method": "POST",
    ":path": exportPath,
    ":authority": authority,
    ...headers,
    te: "trailers",
    "content-type": "application/grpc",
    "grpc-timeout": timeoutOf(timeoutMs),
    "grpc-accept-encoding": [...decompressors.keys()].join(","),
    ...(encoding === "none" ? {} : { "grpc-encoding": encoding }),
    // They may be secrets, which no table of a peer should keep.
    [sensitiveHeaders]: Object.keys(headers),
  });
  stream
    .on("response", (received) => (head = received))
    .on("trailers", (received) => (trailers = received))
    .on("data", (chunk: Buffer) => {
      if (read < usedAnswerBytes) used.push(chunk.subarray(0, usedAnswerBytes - read));
      read += chunk.length;
      if (read > maxAnswerBytes + prefixBytes) stream.close(constants.NGHTTP2_CANCEL);
    })
    // An answer may come before all of the request was taken.
    .on("end", () => stream.close())
    .on("error", (error) => (failure = error))
    .on("close", () => closed.resolve());
  const prefix = Buffer.alloc(prefixBytes);
  prefix.writeUInt8(encoding === "none" ? 0 : 1);
  prefix.writeUInt32BE(body.length, 1);
  stream.write(prefix);
  stream.end(body);
  await closed.promise;

  const oversized = read > maxAnswerBytes + prefixBytes;
  const last = trailers ?? head ?? {};
  const status = first(last["grpc-status"]);
  const isLost = session.closed || session.destroyed;
  if (status === undefined && isLost && !oversized) throw failure ?? new ConnectionLostError("the connection ended");
  const message = await messageOf(Buffer.concat(used), first(head?.["grpc-encoding"]));
  return {
    httpStatus: head?.[":status"],
    status,
    message: first(last["grpc-message"]),
    details: first(last["grpc-status-details-bin"]),
    resetCode: oversized || stream.rstCode === constants.NGHTTP2_NO_ERROR ? undefined : stream.rstCode,
    ...message,
    oversized: oversized || message.oversized,
  };
};
