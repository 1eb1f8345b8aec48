import type { SocketBatch } from "../model/socket.ts";
import type { NetnsFacts } from "../model/sources.ts";

/** A socket whose drops are added to a series, as its last dump showed it. */
export type KnownSocket = {
  /** The series that it counts for. */
  readonly row: number;
  readonly netns: number;
  drops: number;
  /** The tick of its last dump. */
  seen: number;
};

/** Sockets by cookie: what is kept of them from one tick to the next, so that sums of their drops never fall. */
export type KnownSockets = {
  tick: number;
  /** Unix ms of this tick and of the last complete dump before it; 0 before the first. */
  time: number;
  lastTime: number;
  readonly sockets: Map<number, KnownSocket>;
  readonly netns: NetnsFacts;
};

export const createKnownSockets = (netns: NetnsFacts): KnownSockets => ({
  tick: 0,
  time: 0,
  lastTime: 0,
  sockets: new Map(),
  netns,
});

/** Starts a tick at `time` (Unix ms). */
export const beginKnown = (known: KnownSockets, time: number): void => {
  known.tick++;
  known.time = time;
};

/** When a series that is added now starts to count, Unix ms. */
export const startOfNew = ({ time, lastTime }: KnownSockets): number => (lastTime === 0 ? time : lastTime);

/**
 * The socket of a row; undefined where this dump has shown its cookie before. One that is met for the first time joins the
 * series of `rowOf`; what it dropped before the first dump that could show it counts for nothing.
 */
export const meetSocket = (
  known: KnownSockets,
  batch: SocketBatch,
  at: number,
  rowOf: () => number,
): KnownSocket | undefined => {
  const cookie = batch.cookie[at] as number;
  let socket = known.sockets.get(cookie);
  if (socket?.seen === known.tick) return undefined;
  if (socket === undefined) {
    const netns = batch.netns[at] as number;
    const isPast = known.lastTime === 0 || known.netns.isUnmet(netns);
    socket = { row: rowOf(), netns, drops: isPast ? (batch.drops[at] as number) : 0, seen: 0 };
    known.sockets.set(cookie, socket);
  }
  socket.seen = known.tick;
  return socket;
};

/** What the socket dropped since it was met before. sk_drops is a u32 that wraps. */
export const takeDrops = (socket: KnownSocket, drops: number): number => {
  const delta = drops >= socket.drops ? drops - socket.drops : drops - socket.drops + 4_294_967_296;
  socket.drops = drops;
  return delta;
};

/** After a complete dump: `closed` is called with the series of each socket that is gone. Two absences close one, as with flows. */
export const settleKnown = (known: KnownSockets, closed: (row: number) => void): void => {
  for (const [cookie, socket] of known.sockets) {
    if (known.tick - socket.seen < 2 || known.netns.unread.has(socket.netns)) continue;
    known.sockets.delete(cookie);
    closed(socket.row);
  }
  known.lastTime = known.time;
};

/** Instead of `settleKnown` where the dump was not complete. */
export const abandonKnown = (known: KnownSockets): void => {
  for (const socket of known.sockets.values()) socket.seen = Math.min(socket.seen + 1, known.tick);
};
