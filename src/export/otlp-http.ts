import { Socket } from "node:net";
import { unescape } from "node:querystring";
import { checkServerIdentity, type SecureContext } from "node:tls";
import { buildConnector, Pool } from "undici";
import type { OtlpConfig, OtlpProtocol } from "../model/config.ts";
import type { Log } from "../model/log.ts";
import type { TlsOptions } from "../model/target.ts";
import { namesOf, secureContextOf } from "../tls/secure-context.ts";
import { orAborted } from "./otlp-abort.ts";
import { OtlpDestination } from "./otlp-destination.ts";
import { DeliveryReport } from "./otlp-report.ts";
import type { Content } from "./otlp-record.ts";
import type { Reply } from "./otlp-retry.ts";
import type { Clocks } from "./otlp-sender.ts";
import type { FileLock } from "./otlp-storage.ts";

export type OtlpDependencies = Partial<Clocks> & {
  readonly log: Log;
  readonly userAgent: string;
  /** Its name in the log and in the agent's own metrics; without one it is `host:port`. */
  readonly name?: string;
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

/** Of no account as long as the connector returns its socket, which undici does not document. */
const longestDialMs = 60_000;

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

/** The files of TLS cannot be read or used, for a reason that `code` ends with. */
class TlsFilesError extends Error {
  override readonly name = "TlsFilesError";
  readonly code: string;
  constructor(cause: unknown) {
    super("the files of export.otlp.tls cannot be used", { cause });
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown error";
    this.code = `ERR_TLS_FILES ${code}`;
  }
}

type Dial = ReturnType<typeof buildConnector>;

const plainDial = (): Dial => buildConnector({ timeout: longestDialMs, allowH2: false });

/** With a cache of sessions of its own: one that is resumed would go on with the certificates that it began with. */
const secureDial = (secureContext: SecureContext, host: string, tls: TlsOptions): Dial => {
  const names = namesOf(host, tls);
  const dial = buildConnector({
    timeout: longestDialMs,
    allowH2: false,
    secureContext,
    rejectUnauthorized: !tls.insecure,
    // By Node's own choice an address in server_name_override would be verified only as SNI, which has none.
    checkServerIdentity: (_host, certificate) => checkServerIdentity(names.host, certificate),
  });
  return (options, callback) => dial({ ...options, ...names }, callback);
};

type ConnectionParts = {
  readonly url: URL;
  readonly tls: TlsOptions | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly monotonic: () => number;
};

const standardTls: TlsOptions = {
  caFile: undefined,
  certFile: undefined,
  keyFile: undefined,
  serverName: undefined,
  insecure: false,
};

/** One connection to the origin of a URL, opened with the first request and kept alive between requests. */
class HttpConnection {
  readonly #parts: ConnectionParts;
  readonly #path: string;
  #pool: Pool | undefined;
  /** What the pool was opened with. */
  #context: SecureContext | undefined;
  /** undici looks at a signal only once it is connected: until then the socket has to be destroyed. */
  #dialing: Socket | undefined;
  #dials = 0;
  #isClosed = false;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    this.#path = parts.url.pathname + parts.url.search;
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
    const { url, tls = standardTls, monotonic } = this.#parts;
    if (url.protocol !== "https:") return (this.#pool ??= this.#poolOf(plainDial()));
    const context = await secureContextOf(tls, monotonic()).catch((error: unknown) => {
      throw new TlsFilesError(error);
    });
    if (this.#pool !== undefined && this.#context === context) return this.#pool;
    this.#pool?.destroy().catch(() => undefined);
    this.#context = context;
    this.#pool = this.#poolOf(secureDial(context, url.hostname.replace(/^\[|\]$/g, ""), tls));
    // The files were read while it was closed.
    if (this.#isClosed) this.close();
    return this.#pool;
  }

  #poolOf(dial: Dial): Pool {
    return new Pool(this.#parts.url.origin, {
      connections: 1,
      // The caller's signal bounds the whole request.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: keepAliveMs,
      connect: (options, callback) => {
        this.#dials++;
        const socket: unknown = dial(options, (...result) => {
          this.#dialing = undefined;
          callback(...result);
        });
        if (socket instanceof Socket) this.#dialing = socket;
      },
    });
  }

  async #request(pool: Pool, { body, encoding, protocol }: Content, signal: AbortSignal): Promise<Reply> {
    const headers = {
      ...this.#parts.headers,
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
  const { name: host = hostOf(url) } = dependencies;
  const headers = headersOf(url, config, userAgent);
  const secrets = [...Object.values(config.headers), ...Object.values(credentialsOf(url))];
  return new OtlpDestination({
    config,
    host,
    connection: new HttpConnection({ url, tls: config.tls, headers, monotonic }),
    report: new DeliveryReport(log, { host, isTls }, secrets),
    clocks: { now, monotonic, random },
    maxRequestBytes,
    log,
    lock: dependencies.lock,
    earlier: dependencies.earlier ?? Promise.resolve(),
  });
};
