import { createHash, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { isIPv6, type Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import type { Snapshot } from "../model/columns.ts";
import type { ListenConfig, PrometheusConfig } from "../model/config.ts";
import { FatalError } from "../model/errors.ts";
import type { Log } from "../model/log.ts";
import { type Health, healthJson, healthText } from "./health.ts";
import { followRenewals, readPair, stampsOf, type TlsFiles } from "./page-tls.ts";
import { contentTypes, type PrometheusFormat } from "./prometheus-text.ts";
import { createSharedPages } from "./shared-page.ts";

/** With `listen` port 0 a free one is taken. */
export type PageOptions = PrometheusConfig & {
  /** The last tick's, undefined before the first. */
  readonly snapshot: () => Snapshot | undefined;
  readonly health: () => Health;
  /** Whether `/health`, which prometheus_ss_exporter has, answers as `/livez` does. */
  readonly hasHealth?: () => boolean;
  readonly log: Log;
  /** How often the files of `tls` are looked at. */
  readonly renewalMs?: number;
};

export type Page = {
  /** Where it listens in fact. */
  readonly address: ListenConfig;
  /** Ends within a second, whatever its clients do. */
  readonly close: () => Promise<void>;
};

type Reply = { readonly status: number; readonly body: string; readonly headers?: Readonly<Record<string, string>> };

const limits = {
  connections: 64,
  headerBytes: 8 * 1024,
  headersMs: 5_000,
  handshakeMs: 5_000,
  requestMs: 10_000,
  /** A whole response: a reader that stalls holds a snapshot in memory for as long. */
  responseMs: 30_000,
  /** Above the usual scrape intervals, so that a scraper keeps its connection. */
  keepAliveMs: 75_000,
  closeMs: 500,
  renewalMs: 10_000,
} as const;

const index = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>sockscope</title>
<h1>sockscope</h1>
<ul>
<li><a href="/metrics">/metrics</a>: the last collection, in OpenMetrics or the Prometheus text format</li>
<li><a href="/livez">/livez</a>: collections happen; for restarting</li>
<li><a href="/readyz">/readyz</a>: the configuration is loaded and one collection is done</li>
<li><a href="/healthz">/healthz</a>: exports arrive, too; how each destination does, as JSON</li>
</ul>
</html>
`;

/** What has a short answer; `/metrics` has not. */
const replies = new Map<string, (health: Health, isAdmitted: boolean) => Reply>([
  ["/", () => ({ status: 200, body: index, headers: { "content-type": "text/html; charset=utf-8" } })],
  ["/livez", ({ live }) => healthText(live)],
  ["/readyz", ({ ready }) => healthText(ready)],
  [
    "/healthz",
    (health, isAdmitted) => ({
      ...healthJson(health, isAdmitted),
      headers: { "content-type": "application/json; charset=utf-8" },
    }),
  ],
]);

const notFound: Reply = { status: 404, body: `not found; there are ${[...replies.keys()].join(" ")} /metrics\n` };
const notAllowed: Reply = { status: 405, body: "only GET and HEAD\n", headers: { allow: "GET, HEAD" } };
const unauthorized: Reply = {
  status: 401,
  body: "a user and a password are needed\n",
  headers: { "www-authenticate": 'Basic realm="sockscope", charset="UTF-8"' },
};
const noSnapshot: Reply = {
  status: 503,
  body: "No collection has finished yet.\n",
  headers: { "retry-after": "1" },
};

type Preference = { readonly name: string; readonly parameters: ReadonlyMap<string, string>; readonly q: number };

/** The elements of an Accept or Accept-Encoding header (RFC 9110, 12.4.2 and 12.5). */
const parsePreferences = (header: string): Preference[] =>
  header.split(",").map((element) => {
    const [name = "", ...rest] = element.split(";").map((part) => part.trim().toLowerCase());
    const parameters = new Map(
      rest.map((part): [string, string] => {
        const [key = "", value = ""] = part.split("=");
        return [key.trim(), value.trim().replaceAll('"', "")];
      }),
    );
    const q = Number(parameters.get("q") ?? 1);
    return { name, parameters, q: q >= 0 && q <= 1 ? q : 0 };
  });

/** The q of the most specific range that covers a type of ours in a version of ours. */
const qualityOf = (preferences: readonly Preference[], type: string, version: string): number => {
  for (const range of [type, `${type.slice(0, type.indexOf("/"))}/*`, "*/*"]) {
    const matching = preferences.filter(
      ({ name, parameters }) => name === range && (parameters.get("version") ?? version) === version,
    );
    if (matching.length > 0) return Math.max(...matching.map(({ q }) => q));
  }
  return 0;
};

/** Negotiates the format: OpenMetrics for who names it and does not like the text format better, else the latter. */
export const negotiateFormat = (accept: string | undefined): PrometheusFormat => {
  const preferences = parsePreferences(accept ?? "*/*");
  if (!preferences.some(({ name }) => name === "application/openmetrics-text")) return "text";
  const openmetrics = qualityOf(preferences, "application/openmetrics-text", "1.0.0");
  return openmetrics > 0 && openmetrics >= qualityOf(preferences, "text/plain", "0.0.4") ? "openmetrics" : "text";
};

/** Whether the reader takes gzip. */
export const acceptsGzip = (acceptEncoding: string | undefined): boolean => {
  const preferences = parsePreferences(acceptEncoding ?? "");
  const match = preferences.find(({ name }) => name === "gzip") ?? preferences.find(({ name }) => name === "*");
  return match !== undefined && match.q > 0;
};

const send = (response: ServerResponse, { status, body, headers }: Reply): void => {
  response.writeHead(status, {
    "content-type": "text/plain; charset=utf-8",
    "content-length": Buffer.byteLength(body),
    ...headers,
  });
  response.end(body);
};

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/** Judges an Authorization header (RFC 7617), in a time that says nothing of how much of it is right. */
const createGuard = (basicAuth: PrometheusConfig["basicAuth"]): ((header: string | undefined) => boolean) => {
  if (basicAuth === undefined) return () => true;
  const wanted = digest(`${basicAuth.username}:${basicAuth.password}`);
  return (header = "") => {
    const [, encoded = ""] = /^basic +([a-z0-9+/=]+) *$/i.exec(header) ?? [];
    return timingSafeEqual(digest(Buffer.from(encoded, "base64").toString()), wanted);
  };
};

/** What orchestrators ask, who have no password; figures are for who has one. */
const open: ReadonlySet<string> = new Set(["/livez", "/readyz", "/healthz", "/health"]);

type Serving = PageOptions & {
  readonly pageOf: ReturnType<typeof createSharedPages>;
  readonly admits: ReturnType<typeof createGuard>;
};

const sendMetrics = async (
  request: IncomingMessage,
  response: ServerResponse,
  snapshot: Snapshot,
  pageOf: Serving["pageOf"],
): Promise<void> => {
  const format = negotiateFormat(request.headers.accept);
  const gzip = acceptsGzip(request.headers["accept-encoding"]);
  response.writeHead(200, {
    "content-type": contentTypes[format],
    vary: "accept, accept-encoding",
    ...(gzip ? { "content-encoding": "gzip" } : {}),
  });
  if (request.method === "HEAD") {
    response.end();
    return;
  }
  const page = pageOf(snapshot, format).read();
  const signal = AbortSignal.timeout(limits.responseMs);
  // Unpacking for the few who cannot takes less of the event loop than rendering for them, and its pool has the rest.
  await (gzip
    ? pipeline(page, response, { signal })
    : pipeline(page, createGunzip({ chunkSize: 64 * 1024 }), response, { signal }));
};

const answer = async (request: IncomingMessage, response: ServerResponse, options: Serving): Promise<void> => {
  response.setHeader("x-content-type-options", "nosniff");
  response.setHeader("cache-control", "no-store");
  const path = URL.parse(request.url ?? "", "http://localhost")?.pathname ?? "";
  const reply = replies.get(path === "/health" && options.hasHealth?.() === true ? "/livez" : path);
  const isAdmitted = options.admits(request.headers.authorization);
  if (!open.has(path) && !isAdmitted) send(response, unauthorized);
  else if (reply === undefined && path !== "/metrics") send(response, notFound);
  else if (request.method !== "GET" && request.method !== "HEAD") send(response, notAllowed);
  else if (reply !== undefined) send(response, reply(options.health(), isAdmitted));
  else {
    const snapshot = options.snapshot();
    if (snapshot === undefined) send(response, noSnapshot);
    else await sendMetrics(request, response, snapshot, options.pageOf);
  }
};

/** What a reader does that goes away or stalls: its affair, and no fault of ours. */
const readerFaults = new Set(["ERR_STREAM_PREMATURE_CLOSE", "ECONNRESET", "EPIPE", "ABORT_ERR"]);

const describe = (error: unknown): { code: string; reason: string } => ({
  code: error instanceof Error && "code" in error ? String(error.code) : "",
  reason: error instanceof Error ? error.message : String(error),
});

const abandon = (response: ServerResponse, error: unknown, log: Log): void => {
  const { code, reason } = describe(error);
  if (readerFaults.has(code)) log("debug", "a reader did not take the whole page", { reason });
  else log("error", "the Prometheus page failed", { reason });
  if (response.headersSent) response.destroy();
  else send(response, { status: 500, body: "internal error; the log says more\n" });
};

const formatAddress = ({ host, port }: ListenConfig): string => `${isIPv6(host) ? `[${host}]` : host}:${port}`;

const remedies: Readonly<Record<string, string>> = {
  EADDRINUSE: "the port is in use. Set export.prometheus.listen to another port, or stop what uses it",
  EACCES:
    "this user may not listen on that port. Set export.prometheus.listen to a port above 1023, or grant CAP_NET_BIND_SERVICE",
  EADDRNOTAVAIL:
    "this machine does not have that address. Set export.prometheus.listen to one that it has, as 127.0.0.1 or 0.0.0.0",
  EAFNOSUPPORT: "this machine has no IPv6. Set export.prometheus.listen to an IPv4 address",
  ENOTFOUND: "the host name cannot be resolved. Set export.prometheus.listen to an address",
};

const listenError = (listen: ListenConfig, error: unknown): FatalError => {
  const { code, reason } = describe(error);
  return new FatalError(`cannot listen on ${formatAddress(listen)}: ${remedies[code] ?? reason}`, { cause: error });
};

const closeServer = async (server: Server, connections: Iterable<Socket>): Promise<void> => {
  const closed = once(server, "close");
  server.close();
  const timer = setTimeout(() => {
    for (const connection of connections) connection.destroy();
  }, limits.closeMs);
  await closed;
  clearTimeout(timer);
};

/** Those that are open, also before their TLS handshake, of which an HTTP server knows nothing. */
const connectionsOf = (server: Server): ReadonlySet<Socket> => {
  const connections = new Set<Socket>();
  server.on("connection", (socket) => {
    connections.add(socket);
    socket.once("close", () => connections.delete(socket));
  });
  return connections;
};

const serverOptions = {
  maxHeaderSize: limits.headerBytes,
  headersTimeout: limits.headersMs,
  requestTimeout: limits.requestMs,
  keepAliveTimeout: limits.keepAliveMs,
  connectionsCheckingInterval: 1_000,
} as const;

const openTlsServer = async (files: TlsFiles, everyMs: number, signal: AbortSignal, log: Log): Promise<Server> => {
  const stamps = await stampsOf(files);
  const pair = await readPair(files).catch((error: unknown) => {
    throw new FatalError(`the files of export.prometheus.tls cannot be used: ${describe(error).reason}`, {
      cause: error,
    });
  });
  const server = createTlsServer({ ...serverOptions, ...pair, handshakeTimeout: limits.handshakeMs });
  followRenewals(server, files, { stamps, everyMs, signal, log });
  return server;
};

/** Serves the last tick for Prometheus, and the agent's health. Throws `FatalError` where it cannot. */
export const createPage = async (options: PageOptions): Promise<Page> => {
  const { listen, tls, log, renewalMs = limits.renewalMs } = options;
  const serving = { ...options, pageOf: createSharedPages(), admits: createGuard(options.basicAuth) };
  const closed = new AbortController();
  const server =
    tls === undefined ? createServer(serverOptions) : await openTlsServer(tls, renewalMs, closed.signal, log);
  const connections = connectionsOf(server);
  server.maxConnections = limits.connections;
  server.on("request", (request, response) => {
    // A body is drained and ignored.
    request.resume();
    answer(request, response, serving).catch((error: unknown) => abandon(response, error, log));
  });
  server.listen({ host: listen.host, port: listen.port });
  try {
    await once(server, "listening");
  } catch (error) {
    closed.abort();
    throw listenError(listen, error);
  }
  server.on("error", ({ message: reason }) =>
    log("warn", "the Prometheus page cannot accept a connection", { reason }),
  );
  const bound = server.address();
  let closing: Promise<void> | undefined;
  return {
    address: typeof bound === "object" && bound !== null ? { host: bound.address, port: bound.port } : listen,
    close: () => {
      closed.abort();
      return (closing ??= closeServer(server, connections));
    },
  };
};
