import type { Socket } from "node:net";
import { connect, type SecureContext, type TLSSocket } from "node:tls";
import type { TargetError } from "../model/outcome.ts";
import type { TlsOptions } from "../model/target.ts";
import { namesOf, secureContextOf } from "../tls/secure-context.ts";
import { codeOf, failureOf } from "./errors.ts";
import type { Run, Trouble } from "./run.ts";

/** Seconds until the first certificate of the peer's chain expires. */
const expiryOf = (socket: TLSSocket): number | undefined => {
  let first = Infinity;
  const seen = new Set<string>();
  for (
    let certificate = socket.getPeerX509Certificate();
    certificate !== undefined && !seen.has(certificate.fingerprint256);
    certificate = certificate.issuerCertificate
  ) {
    seen.add(certificate.fingerprint256);
    first = Math.min(first, certificate.validToDate.getTime());
  }
  return Number.isFinite(first) ? (first - Date.now()) / 1000 : undefined;
};

/** By the names that Node gives the X509_V_ERR_x of OpenSSL, openssl-verification-options(1). */
const certificateErrors: Readonly<Record<string, TargetError>> = {
  CERT_HAS_EXPIRED: "tls_certificate_expired",
  ERR_TLS_CERT_ALTNAME_INVALID: "tls_hostname_mismatch",
  HOSTNAME_MISMATCH: "tls_hostname_mismatch",
};

const down = (error: TargetError, detail: string): Trouble => ({ failure: { kind: "down", error }, detail });

/** Of an error before the handshake was done. */
const handshakeTrouble = (error: Error): Trouble => {
  const code = codeOf(error);
  // Node's own ECONNRESET, without a system call, says that the peer closed.
  if (code === "ECONNRESET" && !("syscall" in error)) return down("unexpected_eof", "closed amid the handshake");
  const failure = failureOf(code, "ip", "tls");
  return failure.error === "_OTHER" ? down("tls_handshake_failed", code) : { failure, detail: code };
};

/** Codes of Node and OpenSSL are text of theirs: in one line. */
const verificationTrouble = (socket: TLSSocket): Trouble | undefined => {
  if (socket.authorized) return undefined;
  const error: unknown = socket.authorizationError;
  const code = error instanceof Error ? codeOf(error) : String(error);
  return down(certificateErrors[code] ?? "tls_certificate_invalid", code);
};

/** What a handshake needs, read and parsed before it; or why it cannot be had. */
export const prepareTls = async (options: TlsOptions, run: Run): Promise<SecureContext | Trouble> => {
  try {
    return await secureContextOf(options, run.deps.now());
  } catch (error) {
    const detail = `the files of tls cannot be used: ${codeOf(error)}`;
    return { failure: { kind: "not_run", error: "_OTHER" }, detail };
  }
};

/**
 * TLS on a connection that stands; what the certificate is worth is judged after the handshake, so that its expiry is
 * known of one that is refused, and nothing is sent to a peer that is not trusted.
 */
export const shakeHands = async (
  connection: Socket,
  secureContext: SecureContext,
  options: TlsOptions,
  host: string | undefined,
  run: Run,
): Promise<TLSSocket | Trouble> => {
  let socket: TLSSocket | undefined;
  const result = await run.within<"secured" | Trouble>((settle) => {
    const onError = (error: Error): void => settle(handshakeTrouble(error));
    socket = connect({ socket: connection, secureContext, rejectUnauthorized: false, ...namesOf(host, options) });
    socket.on("error", onError).on("secureConnect", () => settle("secured"));
    connection.on("error", onError);
    return () => {
      connection.off("error", onError);
      socket?.off("error", onError).on("error", () => undefined);
    };
  });
  if (result === "secured" && socket !== undefined) {
    const certificateExpiry = expiryOf(socket);
    if (certificateExpiry !== undefined) run.learn({ certificateExpiry });
    const refused = options.insecure ? undefined : verificationTrouble(socket);
    if (refused === undefined) return socket.pause();
    socket.destroy();
    return refused;
  }
  socket?.destroy();
  if (result === "deadline" || result === "secured") return down("read_timeout", "no end of the handshake");
  return result;
};
