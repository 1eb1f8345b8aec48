import type { SecureContext } from "node:tls";
import { Pool } from "undici";
import { orAborted } from "./otlp-abort.ts";
import {
  type Connection,
  type ConnectionParts,
  hostnameOf,
  keepAliveMs,
  maxAnswerBytes,
  usedAnswerBytes,
} from "./otlp-connection.ts";
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
import type { Content, OtlpFormat } from "./otlp-record.ts";
import { judgeReply, type Reply, type Verdict } from "./otlp-retry.ts";

const contentTypes: Readonly<Record<OtlpFormat, string>> = {
  protobuf: "application/x-protobuf",
  json: "application/json",
};

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

/** OTLP/HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp), by one connection to the origin of a URL. */
export class HttpConnection implements Connection {
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
  readonly post = async (content: Content, signal: AbortSignal): Promise<Verdict> => {
    const pool = await orAborted(this.#open(), signal);
    const dials = this.#dials;
    const request = async (): Promise<Verdict> =>
      judgeReply(await this.#request(pool, content, signal), this.#parts.clocks.now());
    try {
      return await request();
    } catch (error) {
      // The server closed the idle connection just as it was used again: no outage, so no pause and no log line.
      if (signal.aborted || this.#dials !== dials || !isClosed(error)) throw error;
      return await request();
    }
  };

  readonly close = (): void => {
    this.#isClosed = true;
    this.#pool?.destroy().catch(() => undefined);
  };

  /** The pool; a new one after the files of TLS have changed, since a connection keeps what it was opened with. */
  async #open(): Promise<Pool> {
    const {
      url,
      config,
      userAgent,
      clocks: { monotonic },
    } = this.#parts;
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

  async #request(pool: Pool, { body, encoding, format }: Content, signal: AbortSignal): Promise<Reply> {
    const headers = {
      ...this.#headers,
      "content-type": contentTypes[format],
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
