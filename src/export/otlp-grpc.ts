import { type ClientHttp2Session, connect } from "node:http2";
import type { Socket } from "node:net";
import { type SecureContext, TLSSocket } from "node:tls";
import { orAborted } from "./otlp-abort.ts";
import { type Connection, type ConnectionParts, hostnameOf, keepAliveMs } from "./otlp-connection.ts";
import { type Dial, plainDial, readTls, secureDial, standardTls, throughTunnel, tunnelDial } from "./otlp-dial.ts";
import { callExport } from "./otlp-grpc-call.ts";
import { judgeGrpcReply } from "./otlp-grpc-status.ts";
import type { Content } from "./otlp-record.ts";
import type { Verdict } from "./otlp-retry.ts";

/** The destination cannot be called at all, for the reason that `code` is. */
class GrpcError extends Error {
  override readonly name = "GrpcError";
  readonly code: "ERR_NO_HTTP2" | "ERR_INVALID_FORMAT";
  constructor(code: GrpcError["code"]) {
    super(code);
    this.code = code;
  }
}

/** Opens a connection; rejects when the signal aborts, and leaves none behind. */
const dialled = (dial: Dial, url: URL, signal: AbortSignal): Promise<Socket> => {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const { protocol, host } = url;
  const port = url.port === "" ? (protocol === "https:" ? "443" : "80") : url.port;
  const dialing = dial({ protocol, host, hostname: hostnameOf(url), port }, (...result) => {
    signal.removeEventListener("abort", abort);
    if (result[0] === null) resolve(result[1]);
    else reject(result[0]);
  });
  const abort = (): void => {
    const error = new Error("aborted");
    reject(error);
    dialing.destroy(error);
  };
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  return promise;
};

/** OTLP/gRPC (https://opentelemetry.io/docs/specs/otlp/#otlpgrpc), by one HTTP/2 connection with one call at a time. */
export class GrpcConnection implements Connection {
  readonly #parts: ConnectionParts;
  #session: ClientHttp2Session | undefined;
  /** What the session was opened with; undefined without TLS. */
  #context: SecureContext | undefined;
  #isClosed = false;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
  }

  /** Rejects where no complete answer came, and as soon as the signal aborts, whatever the connection is doing. */
  readonly post = async (content: Content, signal: AbortSignal): Promise<Verdict> => {
    // It was stored for another protocol.
    if (content.format !== "protobuf") throw new GrpcError("ERR_INVALID_FORMAT");
    const { session, isNew } = await this.#open(signal);
    try {
      return await this.#call(session, content, signal);
    } catch (error) {
      // The server closed the idle connection just as it was used again: no outage, so no pause and no log line.
      if (signal.aborted || isNew) throw error;
      return await this.#call((await this.#open(signal)).session, content, signal);
    }
  };

  readonly close = (): void => {
    this.#isClosed = true;
    this.#session?.destroy();
  };

  async #call(session: ClientHttp2Session, content: Content, signal: AbortSignal): Promise<Verdict> {
    const { url, headers, config } = this.#parts;
    session.setTimeout(0);
    session.ref();
    try {
      const call = callExport({ session, content, authority: url.host, headers, timeoutMs: config.timeoutMs });
      return judgeGrpcReply(await orAborted(call, signal));
    } catch (error) {
      // A connection that gives no answer may be a dead one.
      session.destroy();
      throw error;
    } finally {
      if (!session.destroyed) {
        session.setTimeout(keepAliveMs);
        session.unref();
      }
    }
  }

  /** The session; a new one after the files of TLS have changed, since a connection keeps what it was opened with. */
  async #open(signal: AbortSignal): Promise<{ readonly session: ClientHttp2Session; readonly isNew: boolean }> {
    const { url, config, clocks } = this.#parts;
    const { proxy, tls = standardTls } = config;
    const read = async (isTls: boolean, options = standardTls): Promise<SecureContext | undefined> =>
      isTls ? orAborted(readTls(options, clocks.monotonic()), signal) : undefined;
    const context = await read(url.protocol === "https:", tls);
    const proxyContext = await read(proxy?.isTls === true);
    const old = this.#session;
    if (old !== undefined && !old.closed && !old.destroyed && this.#context === context)
      return { session: old, isNew: false };
    old?.destroy();
    this.#context = context;
    const socket = await dialled(this.#dial(context, proxyContext), url, signal);
    if (socket instanceof TLSSocket && socket.alpnProtocol === "http/1.1") {
      socket.destroy();
      throw new GrpcError("ERR_NO_HTTP2");
    }
    const session = connect(url.origin, { createConnection: () => socket, settings: { enablePush: false } });
    // Each call tells of it.
    session.on("error", () => undefined).on("timeout", () => session.close());
    this.#session = session;
    // The connection was made while it was closed.
    if (this.#isClosed) this.close();
    return { session, isNew: true };
  }

  #dial(context: SecureContext | undefined, proxyContext: SecureContext | undefined): Dial {
    const { url, config, userAgent } = this.#parts;
    const { proxy, tls = standardTls } = config;
    const isHttp2 = true;
    const secure = context && secureDial(context, hostnameOf(url), tls, isHttp2);
    if (proxy === undefined) return secure ?? plainDial();
    // Without TLS, too: a proxy that forwards requests speaks no HTTP/2.
    return tunnelDial({ proxy, userAgent, secureContext: proxyContext }, secure ?? throughTunnel);
  }
}
