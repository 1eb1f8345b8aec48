import { unescape } from "node:querystring";
import type { SecureContext } from "node:tls";
import { Pool } from "undici";
import type { OtlpConfig, OtlpProtocol } from "../model/config.ts";
import type { Log } from "../model/log.ts";
import type { RecordValue } from "../metrics/observation.ts";
import { attemptRecorder, exporterAttributes } from "./exporter-metrics.ts";
import { orAborted } from "./otlp-abort.ts";
import {
  type Dial,
  type Dialing,
  plainDial,
  proxyDial,
  proxyHeaders,
  proxyUrl,
  readTls,
  secureDial,
  standardTls,
  tunnelDial,
} from "./otlp-dial.ts";
import { OtlpDestination } from "./otlp-destination.ts";
import { DeliveryReport } from "./otlp-report.ts";
import type { Content } from "./otlp-record.ts";
import type { Reply } from "./otlp-retry.ts";
import type { Clocks } from "./otlp-sender.ts";
import type { FileLock } from "./otlp-storage.ts";

export type OtlpDependencies = Partial<Clocks> & {
  readonly log: Log;
  readonly userAgent: string;
  /** Where attempts are recorded. */
  readonly record?: RecordValue;
  /** Its name in the log and in the agent's own metrics; without one it is `host:port`. */
  readonly name?: string;
  /** The destination of the same receiver in whose place this one comes, so that increments are sent once. */
  readonly predecessor?: OtlpDestination | undefined;
  /** Bound of a request before compression. */
  readonly maxRequestBytes?: number;
  /** For `storage`. */
  readonly lock?: FileLock | undefined;
  /** Another destination of this process may hold the storage until it resolves. */
  readonly earlier?: Promise<unknown> | undefined;
};

const defaultMaxRequestBytes = 4 * 1024 * 1024;

/** Of an answer: what is used of it, and what is read of it at most. */
const usedAnswerBytes = 64 * 1024;
const maxAnswerBytes = 4 * 1024 * 1024;

/** Below the idle timeout of most servers and proxies; a shorter one in the server's Keep-Alive header wins. */
const keepAliveMs = 30_000;

const readAnswer = async (chunks: AsyncIterable<Uint8Array>): Promise<Pick<Reply, "body" | "oversized">> => {
  const used: Uint8Array[] = [];
  let read = 0;
  for await (const chunk of chunks) {
    if (read < usedAnswerBytes) used.push(chunk.subarray(0, usedAnswerBytes - read));
    read += chunk.length;
    if (read > maxAnswerBytes) break;
  }
  return { body: Buffer.concat(used), oversized: read > maxAnswerBytes };
};

const first = (header: string | string[] | undefined): string | undefined =>
  typeof header === "object" ? header[0] : header;

/** The connection was closed, as opposed to refused, timed out or misunderstood. */
const isClosed = (error: unknown): boolean =>
  error instanceof Error && "code" in error && /^(?:UND_ERR_SOCKET|ECONNRESET|EPIPE)$/.test(String(error.code));

/** A name, or an address without brackets. */
const hostnameOf = ({ hostname }: URL): string => hostname.replace(/^\[|\]$/g, "");

type ConnectionParts = {
  readonly url: URL;
  readonly config: Pick<OtlpConfig, "tls" | "proxy">;
  readonly headers: Readonly<Record<string, string>>;
  readonly userAgent: string;
  readonly monotonic: () => number;
};

/** One connection to the origin of a URL, opened with the first request and kept alive between requests. */
class HttpConnection {
  readonly #parts: ConnectionParts;
  readonly #path: string;
  readonly #headers: Readonly<Record<string, string>>;
  #pool: Pool | undefined;
  /** What the pool was opened with; undefined for plain HTTP. */
  #context: SecureContext | undefined;
  /** undici looks at a signal only once it is connected: until then the socket has to be destroyed. */
  #dialing: Dialing | undefined;
  #dials = 0;
  #isClosed = false;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    const { url, config, headers } = parts;
    this.#path = url.pathname + url.search;
    this.#headers = headers;
    // A proxy is asked for the whole URL (RFC 9112 section 3.2.2), unless TLS goes through it in a tunnel.
    if (config.proxy === undefined || url.protocol === "https:") return;
    this.#path = url.origin + this.#path;
    this.#headers = { ...headers, host: url.host, ...proxyHeaders(config.proxy) };
  }

  /** Rejects where no complete answer came, and as soon as the signal aborts, whatever the connection is doing. */
  readonly post = async (content: Content, signal: AbortSignal): Promise<Reply> => {
    const pool = await orAborted(this.#open(), signal);
    const dials = this.#dials;
    try {
      return await this.#request(pool, content, signal);
    } catch (error) {
      // The server closed the idle connection just as it was used again: no outage, so no pause and no log line.
      if (signal.aborted || this.#dials !== dials || !isClosed(error)) throw error;
      return await this.#request(pool, content, signal);
    }
  };

  /** For after the last request has ended. */
  readonly close = (): void => {
    this.#isClosed = true;
    this.#pool?.destroy().catch(() => undefined);
  };

  /** The pool; a new one after the files of TLS have changed, since a connection keeps what it was opened with. */
  async #open(): Promise<Pool> {
    const { url, config, userAgent, monotonic } = this.#parts;
    const { proxy, tls = standardTls } = config;
    const isTls = url.protocol === "https:";
    const context = isTls ? await readTls(tls, monotonic()) : undefined;
    const proxyContext = proxy?.isTls === true ? await readTls(standardTls, monotonic()) : undefined;
    if (this.#pool !== undefined && this.#context === context) return this.#pool;
    this.#pool?.destroy().catch(() => undefined);
    this.#context = context;
    const toHost = context === undefined ? plainDial() : secureDial(context, hostnameOf(url), tls);
    if (proxy === undefined) this.#pool = this.#poolOf(url, toHost);
    else if (isTls)
      this.#pool = this.#poolOf(url, tunnelDial({ proxy, userAgent, secureContext: proxyContext }, toHost));
    else {
      const to = proxyUrl(proxy);
      const toProxy = proxyContext === undefined ? toHost : secureDial(proxyContext, hostnameOf(to), standardTls);
      this.#pool = this.#poolOf(to, proxyDial(toProxy));
    }
    // The files were read while it was closed.
    if (this.#isClosed) this.close();
    return this.#pool;
  }

  #poolOf({ origin }: URL, dial: Dial): Pool {
    return new Pool(origin, {
      connections: 1,
      // The caller's signal bounds the whole request.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: keepAliveMs,
      connect: (options, callback) => {
        this.#dials++;
        this.#dialing = dial(options, (...result) => {
          this.#dialing = undefined;
          callback(...result);
        });
      },
    });
  }

  async #request(pool: Pool, { body, encoding, protocol }: Content, signal: AbortSignal): Promise<Reply> {
    const headers = {
      ...this.#headers,
      "content-type": contentTypes[protocol],
      ...(encoding === "none" ? {} : { "content-encoding": encoding }),
    };
    const request = pool.request({ method: "POST", path: this.#path, headers, body, signal });
    const answer = await orAborted(request, signal).catch((error: unknown) => {
      if (signal.aborted) this.#dialing?.destroy(new Error("aborted"));
      throw error;
    });
    const { statusCode: status, headers: answered, body: chunks } = answer;
    const content = await readAnswer(chunks).catch((error: unknown) => {
      // The status of an error says enough; a success is none before its body has told of rejected points.
      if (status >= 200 && status < 300) throw error;
      return { body: new Uint8Array(), oversized: false };
    });
    return {
      status,
      retryAfter: first(answered["retry-after"]),
      contentType: first(answered["content-type"]),
      ...content,
    };
  }
}

const credentialsOf = ({ username, password }: URL): Record<string, string> => {
  if (username === "" && password === "") return {};
  const credentials = `${unescape(username)}:${unescape(password)}`;
  return { authorization: `Basic ${Buffer.from(credentials).toString("base64")}` };
};

const contentTypes: Readonly<Record<OtlpProtocol, string>> = {
  "http/protobuf": "application/x-protobuf",
  "http/json": "application/json",
};

/** `host:port` of a URL, which names a destination without what may be secret. */
export const hostOf = ({ hostname, port, protocol }: URL): string =>
  `${hostname}:${port === "" ? (protocol === "https:" ? 443 : 80) : port}`;

/** The configured headers go before those of the URL and the agent, but not before those that OTLP fixes. */
const headersOf = (url: URL, { headers }: OtlpConfig, userAgent: string): Record<string, string> => ({
  "user-agent": userAgent,
  ...credentialsOf(url),
  ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
});

/**
 * A destination of OTLP/HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp). Opens no connection before
 * the first export. Throws a TypeError where `config.url` is no URL.
 */
export const createOtlpDestination = (config: OtlpConfig, dependencies: OtlpDependencies): OtlpDestination => {
  const { log, userAgent, maxRequestBytes = defaultMaxRequestBytes } = dependencies;
  const { now = Date.now, monotonic = () => performance.now(), random = Math.random } = dependencies;
  const url = new URL(config.url);
  const isTls = url.protocol === "https:";
  const { name: host = hostOf(url), predecessor } = dependencies;
  const headers = headersOf(url, config, userAgent);
  const { proxy } = config;
  const exporter = exporterAttributes(config, host);
  const secrets = [
    ...Object.values(config.headers),
    ...Object.values(credentialsOf(url)),
    ...(proxy === undefined ? [] : [...Object.values(proxyHeaders(proxy)), ...(proxy.credentials?.split(":") ?? [])]),
  ];
  return new OtlpDestination({
    config,
    host,
    exporter,
    attempted: attemptRecorder(dependencies.record ?? (() => undefined), exporter),
    connection: new HttpConnection({ url, config, headers, userAgent, monotonic }),
    report: new DeliveryReport(log, { host, isTls }, secrets),
    clocks: { now, monotonic, random },
    maxRequestBytes,
    log,
    lock: dependencies.lock,
    earlier: dependencies.earlier ?? Promise.resolve(),
    predecessor,
  });
};
