import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";

/** The URL name space of RFC 9562, appendix A. */
const urlNamespace = Buffer.from("6ba7b8119dad11d180b400c04fd430c8", "hex");

/** A UUID version 5 (RFC 9562 section 5.5) of a name. */
export const uuidV5 = (name: string): string => {
  const bytes = createHash("sha1").update(urlNamespace).update(name).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
};

/** What tells this machine from others and stays over restarts: machine-id(5), else the host's name. */
export const readMachineId = async (): Promise<string> => {
  try {
    const id = (await readFile("/etc/machine-id", "utf8")).trim();
    return id === "" ? hostname() : id;
  } catch {
    return hostname();
  }
};
