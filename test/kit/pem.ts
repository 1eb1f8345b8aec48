import { createPrivateKey } from "node:crypto";
import { certificateOf } from "./tls-files.ts";

const self = certificateOf("self");

export const certificate = self.cert.toString();
/** The private key of the certificate. */
export const key = self.key.toString();
export const encryptedKey = createPrivateKey(key)
  .export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "pass" })
  .toString();
export const otherKey = certificateOf("other").key.toString();
