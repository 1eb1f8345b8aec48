import { setTimeout } from "node:timers/promises";
import type { Verdict } from "../model/outcome.ts";
import type { Address, Reply, SendOptions, Sent } from "../model/sources.ts";
import type { Source } from "../model/target.ts";
import { compilePattern, type Pattern } from "../text/pattern.ts";
import { failureOf, tellingMost } from "./errors.ts";
import type { Run } from "./run.ts";

/** The bytes that a string of characters from U+0000 to U+00FF stands for. */
export const bytesOf = (text: string): Uint8Array => Buffer.from(text, "latin1");

const patterns = new Map<string, Pattern>();

/** The pattern, compiled once. The configuration has refused those that are none. */
export const patternOf = (source: string): Pattern => {
  const known = patterns.get(source);
  if (known !== undefined) return known;
  const pattern = compilePattern(source);
  if (typeof pattern !== "function") throw new TypeError(`${source}: ${pattern.fault}`);
  // Those of targets that are gone are not worth a count of references.
  if (patterns.size >= 10_000) patterns.clear();
  patterns.set(source, pattern);
  return pattern;
};

/** Whether a reply is what is expected; without an expectation each one is. */
export const answering = (expect: string | undefined): ((reply: Reply) => boolean) => {
  if (expect === undefined) return () => true;
  const pattern = patternOf(expect);
  return ({ bytes }) => pattern(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1"));
};

export type Burst = {
  readonly type: "udp" | "icmp";
  readonly to: Address & { readonly port: number };
  readonly payload: Uint8Array;
  readonly source: Source;
  readonly count: number;
  readonly packetIntervalMs: number;
  readonly accept: (reply: Reply) => boolean;
  /** How long the answer to a packet is waited for; undefined: until the deadline. */
  readonly silenceMs: number | undefined;
};

/** Sends the packets, each from a socket of its own so that no answer is taken for another packet's; in their order. */
const sendAll = (run: Run, burst: Burst): Promise<Sent[]> => {
  const { type, to, payload, source, count, packetIntervalMs, accept, silenceMs } = burst;
  const { deps, deadline, signal } = run;
  const send = async (index: number): Promise<Sent> => {
    if (index > 0) {
      try {
        await setTimeout(index * packetIntervalMs, undefined, { signal });
      } catch {
        return { kind: "cancelled" };
      }
    }
    const patience = silenceMs === undefined ? deadline : Math.min(deadline, deps.now() + silenceMs);
    const options: SendOptions = { type, payload, source, accept, deadline: patience };
    return deps.sockets.sendPacket(to, options, signal);
  };
  return Promise.all(Array.from({ length: count }, (_, index) => send(index)));
};

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

export type BurstVerdict = {
  /** Nothing came back, and nothing said why: `others` answers were not what was expected. */
  readonly silent: (others: number) => Verdict;
  /** What is said of a failure beside its code. */
  readonly detail: (code: string) => string;
  /** Whether the packets are counted. */
  readonly counted: boolean;
};

/** Sends the packets and judges what came back: one answer is enough to be up, and what was lost is counted. */
export const probeBurst = async (
  run: Run,
  burst: Burst,
  { silent, detail, counted }: BurstVerdict,
): Promise<Verdict> => {
  const packets = await sendAll(run, burst);
  if (run.signal.aborted) return run.cancelled();
  const answered = packets.filter((packet) => packet.kind === "answered");
  const rtts = answered.map(({ sentAt, reply }) => Math.max(0, reply.at - sentAt));
  const sent = packets.filter(
    (packet) =>
      packet.kind === "answered" ||
      packet.kind === "silence" ||
      (packet.kind === "failed" && packet.phase === "exchange"),
  );
  if (counted && sent.length > 0) {
    run.learn({ packets: { sent: sent.length, rtts: rtts.map((ms) => Math.round(ms * 1e6) / 1e9) } });
  }
  if (answered.length > 0) {
    const ttl = answered.at(-1)?.reply.ttl;
    if (burst.type === "icmp" && ttl !== undefined) run.learn({ ttl });
    run.took("exchange", mean(rtts));
    return run.up();
  }
  const failures = packets.flatMap((packet) => {
    if (packet.kind !== "failed") return [];
    const { code, phase, startedAt, at } = packet;
    return [{ ...failureOf(code, "ip", phase), code, phase, ms: at - startedAt }];
  });
  const telling = tellingMost(failures);
  if (telling !== undefined) {
    run.lost(telling.ms);
    return run.failed(telling, telling.phase, detail(telling.code));
  }
  const silences = packets.filter((packet) => packet.kind === "silence");
  if (silences.length === 0) return run.late();
  run.lost(Math.max(...silences.map(({ sentAt, at }) => at - sentAt)));
  return silent(silences.reduce((sum, { others }) => sum + others, 0));
};
