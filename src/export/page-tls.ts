import { codeOf } from "../model/errors.ts";
import { readFile, stat } from "node:fs/promises";
import type { Server } from "node:https";
import { createSecureContext } from "node:tls";
import type { PrometheusConfig } from "../model/config.ts";
import type { Log } from "../model/log.ts";

export type TlsFiles = NonNullable<PrometheusConfig["tls"]>;

type Pair = { readonly cert: Buffer; readonly key: Buffer };

/** Certificate and private key. Throws what reading them throws, and what OpenSSL says of them. */
export const readPair = async ({ certFile, keyFile }: TlsFiles): Promise<Pair> => {
  const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
  createSecureContext({ cert, key });
  return { cert, key };
};

const stampOf = async (file: string): Promise<string> => {
  try {
    const { mtimeMs, size, ino } = await stat(file);
    return `${mtimeMs} ${size} ${ino}`;
  } catch (error) {
    return codeOf(error);
  }
};

/** Changes when a file does. */
export const stampsOf = async ({ certFile, keyFile }: TlsFiles): Promise<string> =>
  (await Promise.all([certFile, keyFile].map(stampOf))).join("\n");

/**
 * Gives the server renewed files, which `stamps` says that it has not, until `signal` aborts. What cannot be used, a
 * certificate whose key is not there yet for one, leaves the old pair in force until the files change again.
 */
export const followRenewals = (
  server: Pick<Server, "setSecureContext">,
  files: TlsFiles,
  { stamps, everyMs, signal, log }: { stamps: string; everyMs: number; signal: AbortSignal; log: Log },
): void => {
  let known = stamps;
  const look = async (): Promise<void> => {
    const found = await stampsOf(files);
    if (found === known || signal.aborted) return;
    known = found;
    try {
      server.setSecureContext(await readPair(files));
      log("info", `the page uses the renewed certificate in ${files.certFile}`);
    } catch (error) {
      log("warn", `the page keeps its old certificate: the new files of its tls cannot be used (${codeOf(error)})`);
    }
  };
  const timer = setInterval(() => void look(), everyMs);
  timer.unref();
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
};
