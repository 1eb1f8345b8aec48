import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./agent.ts";

/**
 * Certificates of test/fixtures/tls, all for localhost and 127.0.0.1 unless said otherwise: `server` is good,
 * `expired` was until 2021, `other` is for other.test, `self` signed itself; `ca` signed the others, `client` too.
 */
export type CertificateName = "server" | "expired" | "other" | "self" | "client";

export const tlsFile = (file: string): string => join(root, "test/fixtures/tls", file);

export const certificateOf = (name: CertificateName) => ({
  cert: readFileSync(tlsFile(`${name}.pem`)),
  key: readFileSync(tlsFile(`${name}.key`)),
});

export const ca = readFileSync(tlsFile("ca.pem"));
