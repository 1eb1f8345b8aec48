import { execFileSync } from "node:child_process";
import { join } from "node:path";

/** The C program of bench/peer, compiled into the folder. Throws without a compiler. */
export const buildPeer = (folder: string): string => {
  const peer = join(folder, "sock_diag");
  try {
    execFileSync("gcc", ["-O2", "-o", peer, new URL("../peer/sock_diag.c", import.meta.url).pathname], {
      stdio: "inherit",
    });
  } catch (error) {
    throw new Error("the benchmark of sockets needs a C compiler; remedy: apt-get install gcc libc6-dev", {
      cause: error,
    });
  }
  return peer;
};
