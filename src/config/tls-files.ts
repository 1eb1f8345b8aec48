import { createPrivateKey, X509Certificate } from "node:crypto";
import type { ConfigFault } from "../model/errors.ts";
import { type Fault, isFault } from "../text/fault.ts";
import { readBytes } from "./files.ts";
import type { TlsFile } from "./parse.ts";

const certificate = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^]*?-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g;
const key = /-----BEGIN ((?:[A-Z]+ )*)PRIVATE KEY-----/;

/** PEM is ASCII, and what stands between its blocks may be anything. */
const readPem = async (file: string): Promise<string | Fault> => {
  const bytes = await readBytes(file);
  return isFault(bytes) ? bytes : bytes.toString("latin1");
};

const certificatesIn = (text: string): readonly X509Certificate[] | undefined => {
  try {
    return (text.match(certificate) ?? []).map((pem) => new X509Certificate(pem));
  } catch {
    return undefined;
  }
};

const certificatesFault = (text: string): string | undefined => {
  const certificates = certificatesIn(text);
  if (certificates === undefined) return "holds a certificate that is damaged";
  if (certificates.length > 0) return undefined;
  return key.test(text) ? "holds a private key, and no certificate" : "holds no certificate in PEM form";
};

const keyFault = (text: string): string | undefined => {
  const kind = key.exec(text)?.[1];
  if (kind === undefined) {
    const held = certificatesIn(text)?.length ?? 0;
    return held > 0 ? "holds a certificate, and no private key" : "holds no private key in PEM form";
  }
  if (kind.startsWith("ENCRYPTED") || /^Proc-Type: 4,ENCRYPTED/m.test(text))
    return "holds a private key with a passphrase: remove the passphrase";
  try {
    createPrivateKey(text);
    return undefined;
  } catch {
    return "holds a private key that is damaged";
  }
};

const pairFault = async (text: string, file: string): Promise<string | undefined> => {
  const other = await readPem(file);
  const [first] = isFault(other) ? [] : (certificatesIn(other) ?? []);
  return first === undefined || first.checkPrivateKey(createPrivateKey(text))
    ? undefined
    : "holds a private key that does not belong to the certificate in cert_file";
};

const faultOf = async ({ file, holds, certificate: partner }: TlsFile): Promise<string | undefined> => {
  const text = await readPem(file);
  if (isFault(text)) return `cannot read ${file}: ${text.fault}`;
  const fault = holds === "key" ? keyFault(text) : certificatesFault(text);
  if (fault !== undefined) return `${file} ${fault}`;
  const unfit = holds === "key" && partner !== undefined ? await pairFault(text, partner) : undefined;
  return unfit === undefined ? undefined : `${file} ${unfit}`;
};

/** Reads the files that targets and the page name for TLS, each once, and gives a fault for each place that names a bad one. */
export const tlsFaults = async (files: readonly TlsFile[]): Promise<ConfigFault[]> => {
  const known = new Map<string, Promise<string | undefined>>();
  const faults = await Promise.all(
    files.map(async (named) => {
      const identity = JSON.stringify([named.holds, named.file, named.certificate]);
      const reading = known.get(identity) ?? faultOf(named);
      known.set(identity, reading);
      const message = await reading;
      return message === undefined ? [] : [named.fault(message)];
    }),
  );
  return faults.flat();
};
