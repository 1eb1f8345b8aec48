import { once } from "node:events";
import {
  constants,
  createSecureServer,
  createServer,
  type IncomingHttpHeaders,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import protobuf from "protobufjs";
import { createInbox } from "./otlp-inbox.ts";
import { decodeRequest, type MetricsRequest } from "./otlp-receiver.ts";

/**
 * An OTLP/gRPC receiver of metrics that shares no code with the exporter, and answers as a test tells it to, also as no
 * library of gRPC would.
 */

/**
 * What a call is answered with. `hang`: never. `dribble`: a byte of a message now and then, for ever. `flood`: a message
 * of 100 MB. `cut`: the connection is cut after the request was read. `away`: the connection ends with a
 * GOAWAY that says that this call was not looked at, which cannot be said of the first one of a connection. `calm`: it
 * ends with one that says that there were too many.
 */
export type GrpcAnswer =
  | "hang"
  | "dribble"
  | "flood"
  | "cut"
  | "away"
  | "calm"
  | {
      /** `grpc-status`, 0 unless said otherwise; `null`: none. */
      readonly status?: number | string | null;
      readonly message?: string;
      /** A `google.rpc.Status`. */
      readonly details?: Uint8Array;
      /** The message of the answer. */
      readonly body?: Uint8Array;
      /** It is compressed so. */
      readonly encoding?: string;
      /** What is sent in the place of a message and its prefix. */
      readonly raw?: Uint8Array;
      /** Of HTTP. */
      readonly httpStatus?: number;
      /** The code of a RST_STREAM that is sent instead. */
      readonly reset?: number;
    };

export type GrpcRequest = {
  readonly headers: IncomingHttpHeaders;
  readonly clientPort: number | undefined;
  /** The message as it came, compressed or not. */
  readonly body: Buffer;
  readonly isCompressed: boolean;
  readonly uncompressedBytes: number;
  readonly message: MetricsRequest;
  readonly answer: GrpcAnswer;
  /** `performance.now()` when it had been read. */
  readonly at: number;
};

/** A `google.rpc.Status` with a `google.rpc.RetryInfo` after a detail of another kind. */
export const retryInfo = (seconds: number, nanos = 0): Uint8Array => {
  const writer = protobuf.Writer.create();
  writer.uint32(0x08).int32(8).uint32(0x12).string("busy");
  writer.uint32(0x1a).fork().uint32(0x0a).string("type.googleapis.com/google.rpc.DebugInfo").ldelim();
  writer.uint32(0x1a).fork().uint32(0x0a).string("type.googleapis.com/google.rpc.RetryInfo").uint32(0x12).fork();
  writer.uint32(0x0a).fork().uint32(0x08).int64(seconds).uint32(0x10).int32(nanos).ldelim();
  return writer.ldelim().ldelim().finish();
};

const framed = (message: Uint8Array, isCompressed: boolean): Buffer => {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(isCompressed ? 1 : 0);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
};

const decompress = (body: Buffer, encoding: unknown): Buffer => {
  if (encoding === "gzip") return gunzipSync(body);
  if (encoding === "zstd") return zstdDecompressSync(body);
  throw new Error(`unknown grpc-encoding ${String(encoding)}`);
};

const opened = { ":status": 200, "content-type": "application/grpc" };

const dribble = (stream: ServerHttp2Stream): void => {
  stream.respond(opened);
  stream.write(Buffer.of(0, 0, 0x10, 0, 0));
  const timer = setInterval(() => stream.write("\n"), 20);
  stream.on("close", () => clearInterval(timer));
};

const flood = (stream: ServerHttp2Stream): void => {
  const chunk = Buffer.alloc(1_000_000);
  let left = 100;
  const write = (): void => {
    while (!stream.destroyed && left > 0 && stream.write(chunk)) left--;
    if (left === 0) stream.end();
  };
  stream.respond(opened);
  stream.write(Buffer.of(0, 0x05, 0xf5, 0xe1, 0x00));
  stream.on("drain", write);
  write();
};

const respond = (answer: Exclude<GrpcAnswer, string>, stream: ServerHttp2Stream): void => {
  const { status = 0, message, details, body = new Uint8Array(), encoding, raw, httpStatus, reset } = answer;
  if (reset !== undefined) {
    stream.close(reset);
    return;
  }
  if (httpStatus !== undefined) {
    stream.respond({ ":status": httpStatus, "content-type": "text/plain" });
    stream.end("no gRPC here");
    return;
  }
  const trailers = {
    ...(status === null ? {} : { "grpc-status": String(status) }),
    ...(message === undefined ? {} : { "grpc-message": encodeURIComponent(message) }),
    ...(details === undefined ? {} : { "grpc-status-details-bin": Buffer.from(details).toString("base64") }),
  };
  if (status !== 0) {
    // Trailers only, as all libraries do it.
    stream.respond({ ...opened, ...trailers }, { endStream: true });
    return;
  }
  stream.respond(
    { ...opened, ...(encoding === undefined ? {} : { "grpc-encoding": encoding }) },
    { waitForTrailers: true },
  );
  stream.on("wantTrailers", () => stream.sendTrailers(trailers));
  stream.end(raw ?? framed(body, encoding !== undefined));
};

type ReceiverOptions = {
  /** 0: the system chooses one. */ readonly port?: number;
  /** Makes it a receiver by TLS. */ readonly tls?: SecureServerOptions | undefined;
};

/** Starts a receiver on loopback. Close it with `close` or `await using`. */
export const startGrpcReceiver = async ({ port: wantedPort = 0, tls }: ReceiverOptions = {}) => {
  const { nextAnswer, note, ...inbox } = createInbox<GrpcAnswer, GrpcRequest>(
    {},
    (answer) => typeof answer === "object" && (answer.status ?? 0) === 0 && answer.httpStatus === undefined,
  );
  const sessions = new Set<ServerHttp2Session>();

  const receive = async (stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> => {
    const framedBody = Buffer.concat(await stream.toArray());
    const isCompressed = framedBody[0] === 1;
    const body = framedBody.subarray(5);
    if (body.length !== framedBody.readUInt32BE(1)) throw new Error("a message and its length differ");
    const plain = isCompressed ? decompress(body, headers["grpc-encoding"]) : body;
    const answer = nextAnswer();
    const { session } = stream;
    note({
      headers,
      clientPort: session?.socket.remotePort,
      body,
      isCompressed,
      uncompressedBytes: plain.length,
      message: decodeRequest(plain),
      answer,
      at: performance.now(),
    });
    if (answer === "hang") return;
    if (answer === "dribble") dribble(stream);
    else if (answer === "flood") flood(stream);
    else if (answer === "cut") session?.destroy();
    else if (answer === "away") session?.goaway(constants.NGHTTP2_NO_ERROR, 1);
    else if (answer === "calm") session?.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    else respond(answer, stream);
  };
  const server = tls === undefined ? createServer() : createSecureServer(tls);
  server
    .on("session", (session: ServerHttp2Session) => {
      sessions.add(session);
      session.on("close", () => sessions.delete(session)).on("error", () => undefined);
    })
    .on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      stream.on("error", () => undefined);
      receive(stream, headers).catch(() => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
    })
    .listen(wantedPort, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not a TCP address");
  const { port } = address;

  const close = async (): Promise<void> => {
    server.close();
    for (const session of sessions) session.destroy();
    if (server.listening) await once(server, "close");
  };
  return {
    ...inbox,
    port,
    /** For `OtlpConfig.url`. */
    url: `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    /** Connections that are open. */
    open: () => sessions.size,
    close,
    [Symbol.asyncDispose]: close,
  };
};

export type GrpcReceiver = Awaited<ReturnType<typeof startGrpcReceiver>>;
