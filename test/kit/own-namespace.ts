import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { loadLibc } from "../../src/kernel/libc.ts";

const newNetwork = 0x4000_0000; // CLONE_NEWNET

/**
 * Takes this thread into a network namespace of its own with loopback up, and with it the processes that it starts from
 * now on: every program has its usual ports there, and whatever else runs on the machine is out of sight. Needs root.
 * Returns the way back.
 */
export const enterOwnNamespace = (): (() => void) => {
  const libc = loadLibc();
  const unshare = libc.func("int unshare(int flags)");
  const setns = libc.func("int setns(int fd, int type)");
  const orThrow = (call: string, result: unknown): void => {
    if (result !== 0) throw new Error(`${call}: ${libc.errnoName(libc.errno())}`);
  };
  const before = openSync("/proc/thread-self/ns/net", "r");
  orThrow("unshare", unshare(newNetwork));
  const { status, stderr } = spawnSync("ip", ["link", "set", "lo", "up"], { encoding: "utf8" });
  if (status !== 0) throw new Error(`loopback does not come up: ${stderr}`);
  return () => {
    orThrow("setns", setns(before, newNetwork));
    closeSync(before);
  };
};
