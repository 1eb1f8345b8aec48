import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createSecureServer, type ServerOptions } from "node:https";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import protobuf from "protobufjs";
import { createInbox } from "./otlp-inbox.ts";

/**
 * An OTLP/HTTP receiver of metrics that shares no code with the exporter: it decodes by protobufjs from the published
 * .proto files, and answers as a test tells it to.
 */

type Int64 = string;
type Double = number | "NaN" | "Infinity" | "-Infinity";
export type AnyValue = { stringValue?: string; boolValue?: boolean; intValue?: Int64; doubleValue?: Double };
export type KeyValue = { key: string; value: AnyValue };
type Point = { attributes?: KeyValue[]; startTimeUnixNano?: Int64; timeUnixNano?: Int64; flags?: number };
export type NumberDataPoint = Point & { asInt?: Int64; asDouble?: Double };
export type HistogramDataPoint = Point & {
  count?: Int64;
  sum?: Double;
  bucketCounts?: Int64[];
  explicitBounds?: Double[];
};
type Data<P> = { dataPoints?: P[]; aggregationTemporality?: number; isMonotonic?: boolean };
export type Metric = {
  name: string;
  description?: string;
  unit?: string;
  gauge?: Data<NumberDataPoint>;
  sum?: Data<NumberDataPoint>;
  histogram?: Data<HistogramDataPoint>;
};
/** `ExportMetricsServiceRequest` by the JSON mapping, with just the fields that are on the wire. */
export type MetricsRequest = {
  resourceMetrics?: {
    resource?: { attributes?: KeyValue[] };
    scopeMetrics?: { scope?: { name?: string; version?: string }; metrics?: Metric[] }[];
  }[];
};

/** A data point with what its metric says about it. Times are Unix ms; `start` is 0 where it is left out. */
export type ReceivedPoint = {
  readonly name: string;
  readonly unit: string;
  readonly kind: "gauge" | "sum" | "histogram";
  readonly monotonic: boolean;
  /** 2 is cumulative; 0 for gauges. */
  readonly temporality: number;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  readonly start: number;
  readonly time: number;
  readonly value?: number;
  readonly histogram?: {
    readonly count: number;
    readonly sum: number;
    readonly bounds: readonly number[];
    readonly counts: readonly number[];
  };
  /** 1: no recorded value. */
  readonly flags: number;
};

const schema = new URL("../../node_modules/otlp-schema/build/protos/", import.meta.url).pathname;

const loadRequestType = (): protobuf.Type => {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => `${schema}${target}`;
  return root
    .loadSync("opentelemetry/proto/collector/metrics/v1/metrics_service.proto")
    .lookupType("opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest");
};
let requestType: protobuf.Type | undefined;

/** Decodes an uncompressed protobuf request; throws where it is none. */
export const decodeRequest = (body: Uint8Array): MetricsRequest => {
  requestType ??= loadRequestType();
  return requestType.toObject(requestType.decode(body), { longs: String, json: true });
};

/** A request in OTLP/JSON, read by the published schema; throws where it is none. */
export const decodeJsonRequest = (body: Uint8Array): MetricsRequest => {
  requestType ??= loadRequestType();
  const parsed: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  return decodeRequest(requestType.encode(requestType.fromObject(parsed as object)).finish());
};

const valueOf = ({ stringValue, boolValue, intValue, doubleValue }: AnyValue): string | number | boolean =>
  stringValue ?? boolValue ?? (intValue === undefined ? Number(doubleValue) : Number(intValue));

export const attributesOf = (attributes: readonly KeyValue[] = []): Record<string, string | number | boolean> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, valueOf(value)]));

const unixMs = (nanos: Int64 = "0"): number =>
  Number(BigInt(nanos) / 1_000_000n) + Number(BigInt(nanos) % 1_000_000n) / 1e6;

const histogramOf = (point: HistogramDataPoint): NonNullable<ReceivedPoint["histogram"]> => ({
  count: Number(point.count),
  sum: Number(point.sum ?? 0),
  bounds: (point.explicitBounds ?? []).map(Number),
  counts: (point.bucketCounts ?? []).map(Number),
});

const pointsOfMetric = (metric: Metric): ReceivedPoint[] => {
  const kind = metric.gauge ? "gauge" : metric.sum ? "sum" : "histogram";
  const data: Data<NumberDataPoint & HistogramDataPoint> = metric[kind] ?? {};
  return (data.dataPoints ?? []).map((point) => {
    const value = point.asInt ?? point.asDouble;
    return {
      name: metric.name,
      unit: metric.unit ?? "",
      kind,
      monotonic: data.isMonotonic ?? false,
      temporality: data.aggregationTemporality ?? 0,
      attributes: attributesOf(point.attributes),
      start: unixMs(point.startTimeUnixNano),
      time: unixMs(point.timeUnixNano),
      ...(value === undefined ? {} : { value: Number(value) }),
      ...(point.bucketCounts === undefined ? {} : { histogram: histogramOf(point) }),
      flags: point.flags ?? 0,
    };
  });
};

/** All data points of requests, in their order. */
export const flattenPoints = (requests: Iterable<MetricsRequest>): ReceivedPoint[] =>
  [...requests].flatMap(({ resourceMetrics = [] }) =>
    resourceMetrics.flatMap(({ scopeMetrics = [] }) =>
      scopeMetrics.flatMap(({ metrics = [] }) => metrics.flatMap(pointsOfMetric)),
    ),
  );

/** An `ExportMetricsServiceResponse` that reports a partial success (fields 1 and 2 of the published schema). */
export const partialSuccess = (rejected: number, message: string): Uint8Array =>
  protobuf.Writer.create()
    .uint32(0x0a)
    .fork()
    .uint32(0x08)
    .int64(rejected)
    .uint32(0x12)
    .string(message)
    .ldelim()
    .finish();

/**
 * What a request is answered with. `hang`: never. `dribble`: status 200 and a byte of body now and then, for ever.
 * `flood`: status 200 and as much body as the client takes, for ever. `reset`: the connection is cut after the request
 * was read.
 */
export type Answer =
  | "hang"
  | "dribble"
  | "flood"
  | "reset"
  | {
      readonly status?: number;
      readonly retryAfter?: string;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: Uint8Array | string;
    };

export type ReceivedRequest = {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Tells the connections apart. */
  readonly clientPort: number | undefined;
  /** As it came, compressed or not. */
  readonly body: Buffer;
  readonly uncompressedBytes: number;
  readonly message: MetricsRequest;
  readonly answer: Answer;
  /** `performance.now()` when it had been read. */
  readonly at: number;
};

const decompress = (body: Buffer, encoding: string | undefined): Buffer => {
  if (encoding === undefined) return body;
  if (encoding === "gzip") return gunzipSync(body);
  if (encoding === "zstd") return zstdDecompressSync(body);
  throw new Error(`unknown content-encoding ${encoding}`);
};

const ok: Answer = { status: 200 };
const isAccepted = (answer: Answer): boolean => typeof answer === "object" && (answer.status ?? 200) < 300;

const dribble = (response: ServerResponse): void => {
  response.writeHead(200, { "content-type": "application/x-protobuf" });
  const timer = setInterval(() => response.write("\n"), 20);
  response.on("close", () => clearInterval(timer));
};

const flood = (response: ServerResponse): void => {
  const chunk = Buffer.alloc(64 * 1024);
  const write = (): void => {
    while (!response.destroyed && response.write(chunk));
  };
  response.writeHead(200, { "content-type": "application/x-protobuf" }).on("drain", write);
  write();
};

const respond = (answer: Answer, request: IncomingMessage, response: ServerResponse): void => {
  if (answer === "hang") return;
  if (answer === "reset") request.socket.resetAndDestroy();
  else if (answer === "dribble") dribble(response);
  else if (answer === "flood") flood(response);
  else {
    response.writeHead(answer.status ?? 200, {
      "content-type": "application/x-protobuf",
      ...(answer.retryAfter === undefined ? {} : { "retry-after": answer.retryAfter }),
      ...answer.headers,
    });
    response.end(answer.body);
  }
};

type ReceiverOptions = {
  /** 0: the system chooses one. */ readonly port?: number;
  /** Makes it a receiver of https. */ readonly tls?: ServerOptions | undefined;
};

/** Starts a receiver on loopback. Close it with `close` or `await using`. */
export const startOtlpReceiver = async ({ port: wantedPort = 0, tls }: ReceiverOptions = {}) => {
  const { nextAnswer, note, ...inbox } = createInbox<Answer, ReceivedRequest>(ok, isAccepted);

  const receive = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = Buffer.concat(await request.toArray());
    const plain = decompress(body, request.headers["content-encoding"]);
    const answer = nextAnswer();
    const { method = "", url: path = "", headers } = request;
    const isJson = headers["content-type"] === "application/json";
    const message = isJson ? decodeJsonRequest(plain) : decodeRequest(plain);
    note({
      method,
      path,
      headers,
      clientPort: request.socket.remotePort,
      body,
      uncompressedBytes: plain.length,
      message,
      answer,
      at: performance.now(),
    });
    respond(answer, request, response);
  };
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    receive(request, response).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(400).end(String(error));
    });
  };
  const server = tls === undefined ? createServer(listener) : createSecureServer(tls, listener);
  const listening = Promise.withResolvers<void>();
  server.once("error", listening.reject).listen(wantedPort, "127.0.0.1", listening.resolve);
  await listening.promise;
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not a TCP address");
  const { port } = address;

  const close = async (): Promise<void> => {
    const closed = Promise.withResolvers<void>();
    server.close(() => closed.resolve());
    server.closeAllConnections();
    await closed.promise;
  };
  return {
    ...inbox,
    port,
    /** For `OtlpConfig.url`. */
    url: `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}/v1/metrics`,
    close,
    [Symbol.asyncDispose]: close,
  };
};

export type OtlpReceiver = Awaited<ReturnType<typeof startOtlpReceiver>>;
