import { Socket } from "node:net";
import { unescape } from "node:querystring";
import { buildConnector, Pool } from "undici";
import type { OtlpConfig } from "../model/config.ts";
import type { Log } from "../model/log.ts";
import { orAborted } from "./otlp-abort.ts";
import { OtlpDestination } from "./otlp-destination.ts";
import { DeliveryReport } from "./otlp-report.ts";
import type { Reply } from "./otlp-retry.ts";
import type { Clocks } from "./otlp-sender.ts";

export type OtlpDependencies = Partial<Clocks> & {
  readonly log: Log;
  readonly userAgent: string;
  /** Bound of a request before compression. */
  readonly maxRequestBytes?: number;
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

/** One connection to the origin of a URL, opened with the first request and kept alive between requests. */
class HttpConnection {
  readonly #path: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #pool: Pool;
  /** undici looks at a signal only once it is connected: until then the socket has to be destroyed. */
  #dialing: Socket | undefined;
  #dials = 0;

  constructor(url: URL, headers: Readonly<Record<string, string>>) {
    this.#path = url.pathname + url.search;
    this.#headers = headers;
    const dial = buildConnector({ timeout: longestDialMs, allowH2: false });
    this.#pool = new Pool(url.origin, {
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

  /** Rejects where no complete answer came, and as soon as the signal aborts, whatever the connection is doing. */
  readonly post = async (body: Uint8Array, signal: AbortSignal): Promise<Reply> => {
    const dials = this.#dials;
    try {
      return await this.#request(body, signal);
    } catch (error) {
      // The server closed the idle connection just as it was used again: no outage, so no pause and no log line.
      if (signal.aborted || this.#dials !== dials || !isClosed(error)) throw error;
      return await this.#request(body, signal);
    }
  };

  /** For after the last request has ended. */
  readonly close = (): void => {
    this.#pool.destroy().catch(() => undefined);
  };

  async #request(body: Uint8Array, signal: AbortSignal): Promise<Reply> {
    const request = this.#pool.request({ method: "POST", path: this.#path, headers: this.#headers, body, signal });
    const answer = await orAborted(request, signal).catch((error: unknown) => {
      if (signal.aborted) this.#dialing?.destroy(new Error("aborted"));
      throw error;
    });
    const { statusCode: status, headers, body: chunks } = answer;
    const content = await readAnswer(chunks).catch((error: unknown) => {
      // The status of an error says enough; a success is none before its body has told of rejected points.
      if (status >= 200 && status < 300) throw error;
      return { body: new Uint8Array(), oversized: false };
    });
    return {
      status,
      retryAfter: first(headers["retry-after"]),
      contentType: first(headers["content-type"]),
      ...content,
    };
  }
}

const credentialsOf = ({ username, password }: URL): Record<string, string> => {
  if (username === "" && password === "") return {};
  const credentials = `${unescape(username)}:${unescape(password)}`;
  return { authorization: `Basic ${Buffer.from(credentials).toString("base64")}` };
};

/** The configured headers go before those of the URL and the agent, but not before those that OTLP fixes. */
const headersOf = (url: URL, { headers, compression }: OtlpConfig, userAgent: string): Record<string, string> => ({
  "user-agent": userAgent,
  ...credentialsOf(url),
  ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
  "content-type": "application/x-protobuf",
  ...(compression === "gzip" ? { "content-encoding": "gzip" } : {}),
});

/**
 * A destination of OTLP/HTTP protobuf (https://opentelemetry.io/docs/specs/otlp/#otlphttp). Opens no connection before
 * the first export. Throws a TypeError where `config.url` is no URL.
 */
export const createOtlpDestination = (config: OtlpConfig, dependencies: OtlpDependencies): OtlpDestination => {
  const { log, userAgent, maxRequestBytes = defaultMaxRequestBytes } = dependencies;
  const { now = Date.now, monotonic = () => performance.now(), random = Math.random } = dependencies;
  const url = new URL(config.url);
  const isTls = url.protocol === "https:";
  const host = `${url.hostname}:${url.port === "" ? (isTls ? 443 : 80) : url.port}`;
  const headers = headersOf(url, config, userAgent);
  const secrets = [...Object.values(config.headers), ...Object.values(credentialsOf(url))];
  return new OtlpDestination({
    config,
    host,
    connection: new HttpConnection(url, headers),
    report: new DeliveryReport(log, { host, isTls }, secrets),
    clocks: { now, monotonic, random },
    maxRequestBytes,
  });
};
