import { codeOf } from "../model/errors.ts";
import { request as httpRequest } from "node:http";
import { connect, Socket } from "node:net";
import { checkServerIdentity, connect as connectTls, type SecureContext } from "node:tls";
import { buildConnector } from "undici";
import type { ProxyConfig } from "../model/config.ts";
import type { TlsOptions } from "../model/target.ts";
import { namesOf, secureContextOf } from "../tls/secure-context.ts";

/** A connection that is being opened. */
export type Dialing = { readonly destroy: (error: Error) => void };

/** Opens a connection as undici asks for it, and calls back once. */
export type Dial = (options: buildConnector.Options, callback: buildConnector.Callback) => Dialing;

/** Of no account as long as the connector returns its socket, which undici does not document. */
const longestDialMs = 60_000;

/** The files of TLS cannot be read or used, for a reason that `code` ends with. */
class TlsFilesError extends Error {
  override readonly name = "TlsFilesError";
  readonly code: string;
  constructor(cause: unknown) {
    super("the files of export.otlp.tls cannot be used", { cause });
    this.code = `ERR_TLS_FILES ${codeOf(cause)}`;
  }
}

/** The proxy cannot be reached or lets nobody through, for a reason that `code` ends with. */
class ProxyError extends Error {
  override readonly name = "ProxyError";
  readonly code: string;
  constructor(reason: string) {
    super("the proxy cannot be used");
    this.code = `ERR_PROXY ${reason}`;
  }
}

/** Without settings. */
export const standardTls: TlsOptions = {
  caFile: undefined,
  certFile: undefined,
  keyFile: undefined,
  serverName: undefined,
  insecure: false,
};

/** The same object until a file has changed; `now` is monotonic ms. */
export const readTls = async (tls: TlsOptions, now: number): Promise<SecureContext> => {
  try {
    return await secureContextOf(tls, now);
  } catch (error) {
    throw new TlsFilesError(error);
  }
};

const dialingOf = (socket: unknown): Dialing => ({
  destroy: (error) => void (socket instanceof Socket && socket.destroy(error)),
});

export const plainDial = (): Dial => {
  const open = buildConnector({ timeout: longestDialMs, allowH2: false });
  return (options, callback) => dialingOf(open(options, callback));
};

/** With a cache of sessions of its own: one that is resumed would go on with the certificates that it began with. */
export const secureDial = (secureContext: SecureContext, host: string, tls: TlsOptions, isHttp2 = false): Dial => {
  const names = namesOf(host, tls);
  const open = buildConnector({
    timeout: longestDialMs,
    allowH2: isHttp2,
    secureContext,
    rejectUnauthorized: !tls.insecure,
    // By Node's own choice an address in server_name_override would be verified only as SNI, which has none.
    checkServerIdentity: (_host, certificate) => checkServerIdentity(names.host, certificate),
  });
  return (options, callback) => dialingOf(open({ ...options, ...names }, callback));
};

/** `Proxy-Authorization`, where the proxy wants one. */
export const proxyHeaders = ({ credentials }: ProxyConfig): Record<string, string> =>
  credentials === undefined ? {} : { "proxy-authorization": `Basic ${Buffer.from(credentials).toString("base64")}` };

export const proxyUrl = ({ isTls, authority }: ProxyConfig): URL =>
  new URL(`${isTls ? "https" : "http"}://${authority}`);

/** To the proxy itself: what goes wrong on the way is the proxy's. */
export const proxyDial =
  (dial: Dial): Dial =>
  (options, callback) =>
    dial(options, (error, socket) => {
      if (error === null) callback(null, socket);
      else callback(new ProxyError(codeOf(error)), null);
    });

/** In a tunnel, without TLS. */
export const throughTunnel: Dial = ({ httpSocket }, callback) => {
  if (httpSocket instanceof Socket) callback(null, httpSocket);
  return dialingOf(httpSocket);
};

type Tunnel = {
  readonly proxy: ProxyConfig;
  readonly userAgent: string;
  /** Of a proxy that is spoken to by TLS. */
  readonly secureContext: SecureContext | undefined;
};

/** Through a tunnel of an HTTP proxy (CONNECT, RFC 9110 section 9.3.6), in which `dial` then shakes hands. */
export const tunnelDial =
  ({ proxy, userAgent, secureContext }: Tunnel, dial: Dial): Dial =>
  (options, callback) => {
    const { hostname, port } = proxyUrl(proxy);
    const { host, servername } = namesOf(hostname.replace(/^\[|\]$/g, ""), standardTls);
    const at = { host, port: port === "" ? (proxy.isTls ? 443 : 80) : Number(port) };
    const named = options.hostname.includes(":") ? `[${options.hostname}]` : options.hostname;
    const authority = `${named}:${options.port === "" ? 443 : options.port}`;
    const request = httpRequest({
      ...at,
      method: "CONNECT",
      path: authority,
      headers: { host: authority, "user-agent": userAgent, ...proxyHeaders(proxy) },
      createConnection: () =>
        secureContext === undefined ? connect(at) : connectTls({ ...at, servername, secureContext }),
    });
    let handshake: Dialing | undefined;
    let isOver = false;
    const fail = (reason: string): void => {
      if (!isOver) callback(new ProxyError(reason), null);
      isOver = true;
    };
    request
      .on("error", (error) => fail(codeOf(error)))
      .on("connect", ({ statusCode = 0 }, socket, head) => {
        if (statusCode < 200 || statusCode > 299) {
          socket.destroy();
          fail(`status ${statusCode}`);
          return;
        }
        isOver = true;
        // The destination may be the first to speak.
        if (head.length > 0) socket.unshift(head);
        handshake = dial({ ...options, httpSocket: socket }, callback);
      })
      .end();
    return {
      destroy: (error) => {
        request.destroy(error);
        handshake?.destroy(error);
      },
    };
  };
