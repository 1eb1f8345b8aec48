import { readFile, stat } from "node:fs/promises";
import { isIP } from "node:net";
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls";
import type { TlsOptions } from "../model/target.ts";

/** Files are looked at for a change no more often than this, so that renewed ones are used without a reload. */
const staleMs = 10_000;

type Cached = { readonly context: SecureContext; readonly stamp: string; checkedAt: number };

/** By the names of the files. */
const contexts = new Map<string, Cached>();

/** What the system trusts, beside the list that Node was built with and NODE_EXTRA_CA_CERTS. */
const trusted = (): string[] => [...getCACertificates("default"), ...getCACertificates("system")];

const filesOf = ({ caFile, certFile, keyFile }: TlsOptions): readonly (string | undefined)[] => [
  caFile,
  certFile,
  keyFile,
];

const stampOf = async (file: string | undefined): Promise<string> => {
  if (file === undefined) return "";
  const { mtimeMs, size, ino } = await stat(file);
  return `${mtimeMs} ${size} ${ino}`;
};

const read = async (file: string | undefined): Promise<Buffer | undefined> =>
  file === undefined ? undefined : readFile(file);

/**
 * Certificates and key of the files: the same object until one of them has changed. `now` is monotonic ms. Throws what
 * reading them throws, and what OpenSSL says of them.
 */
export const secureContextOf = async (options: TlsOptions, now: number): Promise<SecureContext> => {
  const files = filesOf(options);
  const key = JSON.stringify(files);
  const cached = contexts.get(key);
  if (cached !== undefined && now - cached.checkedAt < staleMs) return cached.context;
  const stamp = (await Promise.all(files.map(stampOf))).join("\n");
  if (cached !== undefined && cached.stamp === stamp) {
    cached.checkedAt = now;
    return cached.context;
  }
  const [ca, cert, privateKey] = await Promise.all(files.map(read));
  const context = createSecureContext({ ca: ca ?? trusted(), cert, key: privateKey });
  contexts.set(key, { context, stamp, checkedAt: now });
  return context;
};

/** Neither a zone nor an address is a name that a certificate or SNI (RFC 6066 section 3) knows. */
export const namesOf = (host: string | undefined, { serverName }: Pick<TlsOptions, "serverName">) => {
  const name = serverName ?? host?.replace(/%.*$/s, "") ?? "localhost";
  return { host: name, servername: isIP(name) === 0 ? name : "" };
};
