import { readdirSync } from "node:fs";
import type { DialOptions, Reply, SendOptions } from "../../src/model/sources.ts";

export const anywhere = { address: undefined, interface: undefined };

export const inMs = (ms: number): number => performance.now() + ms;

export const dialling = (more: Partial<DialOptions> = {}): DialOptions => ({
  type: "stream",
  source: anywhere,
  deadline: inMs(5000),
  keep: false,
  ...more,
});

export const sending = (more: Partial<SendOptions> = {}): SendOptions => ({
  type: "udp",
  payload: Buffer.from("question"),
  source: anywhere,
  accept: () => true,
  deadline: inMs(5000),
  ...more,
});

export const textOf = ({ bytes }: Pick<Reply, "bytes">): string => Buffer.from(bytes).toString();

/** Descriptors of this process, without the one that reads them. */
export const openFiles = (): number => readdirSync("/proc/self/fd").length - 1;
