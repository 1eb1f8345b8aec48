/**
 * /proc/net/sockstat and sockstat6 (net/ipv4/proc.c, net/ipv6/proc.c): lines of `PROTOCOL: key value key value ...`.
 *
 *     TCP: inuse 4 orphan 0 tw 2 alloc 6 mem 1
 */
export type Sockstat = {
  /** By protocol and key as written; a line or a key that is missing is missing here. */
  readonly values: ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** Lines that are no such line. */
  readonly skipped: number;
};

/** Never throws: a line that does not fit is counted, the others stand. */
export const parseSockstat = (text: string): Sockstat => {
  const values = new Map<string, Map<string, number>>();
  let skipped = 0;
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const [, protocol, rest] = /^(\w+):((?:\s+\w+\s+\d+)+)\s*$/.exec(line) ?? [];
    if (protocol === undefined || rest === undefined) {
      skipped++;
      continue;
    }
    const pairs = rest.matchAll(/(\w+)\s+(\d+)/g);
    values.set(protocol, new Map([...pairs].map(([, key = "", value]) => [key, Number(value)])));
  }
  return { values, skipped };
};
