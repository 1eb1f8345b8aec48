import { checkServerIdentity } from "node:tls";
import type { SecureContext } from "node:tls";
import { buildConnector, Pool } from "undici";
import { codeOf } from "../model/errors.ts";
import { LeaseError } from "../model/lease.ts";
import type { TlsOptions } from "../model/target.ts";
import { namesOf, secureContextOf } from "../tls/secure-context.ts";

export type JsonRequest = {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
};

export type JsonAnswer = { readonly status: number; readonly body: unknown };

export type JsonClientOptions = {
  /** What the servers are called in messages. */
  readonly name: string;
  /** Origins; the next one is asked after one that has failed. */
  readonly endpoints: readonly string[];
  readonly tls: TlsOptions;
  /** Of a request, whatever the connection is doing. */
  readonly timeoutMs: number;
};

const mostBytes = 1_048_576;

/** Server errors and what a proxy says in their place: another endpoint may be better off. */
const isOutage = (status: number): boolean => status >= 500;

const hostOf = (endpoint: string): string => new URL(endpoint).host;

/** Speaks JSON with one of several servers, over a connection that is kept. */
export class JsonClient {
  readonly #options: JsonClientOptions;
  #place = 0;
  #pool: Pool | undefined;
  #context: SecureContext | undefined;

  constructor(options: JsonClientOptions) {
    this.#options = options;
  }

  /** Rejects with `LeaseError` where no complete answer came in time, and once the signal aborts. */
  async send(request: JsonRequest, signal: AbortSignal): Promise<JsonAnswer> {
    const { timeoutMs } = this.#options;
    const bound = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const over = Promise.withResolvers<never>();
    const abort = (): void => over.reject(bound.reason);
    bound.addEventListener("abort", abort);
    try {
      const answer = await Promise.race([this.#ask(request, bound), over.promise]);
      if (isOutage(answer.status)) this.#goOn();
      return answer;
    } catch (error) {
      const where = this.where;
      this.#goOn();
      if (error instanceof LeaseError) throw error;
      const isLate = bound.aborted && !signal.aborted;
      throw new LeaseError(`${where} ${isLate ? `did not answer within ${timeoutMs / 1000} s` : codeOf(error)}`, {
        cause: error,
      });
    } finally {
      bound.removeEventListener("abort", abort);
    }
  }

  /** The server that is asked now. */
  get where(): string {
    return `${this.#options.name} at ${hostOf(this.#endpoint)}`;
  }

  close(): void {
    this.#pool?.destroy().catch(() => undefined);
    this.#pool = undefined;
  }

  get #endpoint(): string {
    const { endpoints } = this.#options;
    return endpoints[this.#place % endpoints.length] ?? "";
  }

  /** A connection that hangs is not used again, and the next server has its turn. */
  #goOn(): void {
    this.close();
    this.#place++;
  }

  async #ask({ method, path, headers = {}, body }: JsonRequest, signal: AbortSignal): Promise<JsonAnswer> {
    const pool = await this.#open();
    const response = await pool.request({
      method,
      path,
      headers: {
        accept: "application/json",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal,
    });
    const chunks: Uint8Array[] = [];
    let read = 0;
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      chunks.push(chunk);
      read += chunk.length;
      if (read > mostBytes) throw new LeaseError(`${this.where} answers more than ${mostBytes} bytes`);
    }
    return { status: response.statusCode, body: parsed(Buffer.concat(chunks).toString()) };
  }

  /** A new one after the files of TLS have changed. */
  async #open(): Promise<Pool> {
    const { tls, timeoutMs } = this.#options;
    const endpoint = new URL(this.#endpoint);
    const context = endpoint.protocol === "https:" ? await this.#readTls() : undefined;
    if (this.#pool !== undefined && this.#context === context) return this.#pool;
    this.close();
    this.#context = context;
    const names = namesOf(endpoint.hostname.replace(/^\[|\]$/g, ""), tls);
    const open = buildConnector({
      timeout: timeoutMs,
      allowH2: false,
      ...(context === undefined
        ? {}
        : {
            secureContext: context,
            rejectUnauthorized: !tls.insecure,
            checkServerIdentity: (_host, certificate) => checkServerIdentity(names.host, certificate),
          }),
    });
    this.#pool = new Pool(endpoint.origin, {
      connections: 1,
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: (options, callback) => open(context === undefined ? options : { ...options, ...names }, callback),
    });
    return this.#pool;
  }

  async #readTls(): Promise<SecureContext> {
    try {
      return await secureContextOf(this.#options.tls, performance.now());
    } catch (error) {
      throw new LeaseError(`the files of election.tls cannot be used: ${codeOf(error)}`, { cause: error });
    }
  }
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** A field of what may be a map. */
export const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;

/** What a server says of itself, in one short line. */
export const saidIn = (body: unknown): string => {
  const said = fieldOf(body, "message");
  // oxlint-disable-next-line no-control-regex -- those are what a log must not get
  return typeof said === "string" ? `: ${said.replace(/[\x00-\x1f\x7f]+/g, " ").slice(0, 200)}` : "";
};
