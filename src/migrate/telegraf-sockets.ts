import type { Path } from "../config/path.ts";
import { unknownWord } from "../text/nearest.ts";
import { listed, mostSeries, type Report, sayMostSeries } from "./conversion.ts";
import { remark } from "./draft.ts";
import { cutsOf, filterOf, passes, sayCuts } from "./telegraf-filters.ts";
import type { Socketstat } from "./telegraf-schema.ts";
import { readSpan } from "./telegraf-values.ts";

/** What Telegraf's document names. */
const known = ["tcp", "udp", "raw", "unix", "packet", "dccp", "sctp"] as const;
type Protocol = (typeof known)[number];

const defaultProtocols: readonly Protocol[] = ["tcp", "udp"];

const protocolsOf = ({ protocols = [] }: Socketstat, path: Path, report: Report): readonly Protocol[] => {
  const found = protocols.flatMap((word, index): Protocol[] => {
    const protocol = known.find((each) => each === word);
    if (protocol === undefined)
      report(
        [...path, "protocols", index],
        `${unknownWord("protocol", word, known)}; Telegraf would have run ss --${word}, which fails each time or shows sockets that it cannot tell apart`,
      );
    return protocol === undefined ? [] : [protocol];
  });
  return protocols.length === 0 ? defaultProtocols : found;
};

const sayOdd: Readonly<Partial<Record<Protocol, string>>> = {
  unix: "unix: Telegraf takes the columns of ss for others, has no recv_q and the real one as send_q.",
  packet: "packet: Telegraf ends at the first packet socket.",
};

const idle = [
  "precision",
  "collection_jitter",
  "collection_offset",
  "time_source",
  "alias",
  "log_level",
  "startup_error_behavior",
  "always_include_local_tags",
  "always_include_global_tags",
  "tags",
] as const;

/** sockets.select, and what is said of it. */
const selectOf = (inputs: readonly Socketstat[], read: readonly string[]) => {
  const passed = inputs.map(({ tagpass }) => tagpass && filterOf(tagpass, read));
  const dropped = inputs.map(({ tagdrop }) => tagdrop && filterOf(tagdrop, read));
  const says: string[] = [];
  // What one input lets through is taken, whatever the others do.
  const open = passed.some((filter) => filter === undefined || filter.left.length > 0);
  const include = open ? [] : passed.flatMap((filter) => filter?.entries ?? []);
  const [only] = dropped;
  const exclude = dropped.length === 1 ? (only?.entries ?? []) : [];
  const left = [
    ...(open && passed.some((filter) => filter !== undefined) ? ["tagpass"] : []),
    ...(dropped.length > 1 && dropped.some((filter) => filter !== undefined) ? ["tagdrop"] : []),
    ...(dropped.length === 1 ? (only?.left ?? []).map((tag) => `tagdrop of ${tag}`) : []),
  ];
  if (left.length > 0)
    says.push(
      `${listed(left)}: no counterpart as written, so that more sockets are taken: selected are ports, addresses, networks and protocols, for all inputs together.`,
    );
  const select =
    include.length === 0 && exclude.length === 0
      ? undefined
      : {
          include: include.length === 0 ? undefined : include,
          exclude: exclude.length === 0 ? undefined : exclude,
        };
  const nothing = !open && include.length === 0 && passed.length > 0;
  return { select, says, nothing };
};

/** What replaces all [[inputs.socketstat]] of a file. */
export const socketsOf = (written: readonly Socketstat[], agentMs: number, report: Report) => {
  const paths = written.map((_, index): Path => ["inputs", "socketstat", index]);
  const read = written.map((fields, index) => ({
    fields,
    protocols: protocolsOf(fields, paths[index] ?? [], report),
    interval: readSpan(fields.interval, agentMs, [...(paths[index] ?? []), "interval"], report),
    timeout: readSpan(fields.timeout, 1000, [...(paths[index] ?? []), "timeout"], report),
  }));
  const taken = read.filter(({ fields }) => passes(fields, "socketstat"));
  const protocols = known.filter((protocol) => taken.some((each) => each.protocols.includes(protocol)));
  const { select, says, nothing } = selectOf(
    taken.map(({ fields }) => fields),
    protocols,
  );
  const off = {
    value: remark(
      "off",
      written.length > 0 ? "Its own filters let nothing of socketstat through." : "The file has no inputs.socketstat.",
    ),
    compat: undefined,
    interval: agentMs,
  };
  if (taken.length === 0 || protocols.length === 0 || nothing) return off;
  const inputs = taken.map(({ fields }) => fields);
  const keys = [...new Set(inputs.flatMap((fields) => idle.filter((key) => fields[key] !== undefined)))];
  const cuts = [...new Set(inputs.flatMap((fields) => cutsOf(fields)))];
  const remarks = [
    inputs.some(({ timeout }) => timeout !== undefined)
      ? "timeout: no counterpart, as no ss is run; collection.timeout bounds all of a tick."
      : undefined,
    keys.length === 0 ? undefined : `No counterpart, of [[inputs.socketstat]]: ${listed(keys)}.`,
    sayCuts(cuts),
    taken.length > 1 ? "Several inputs are one: the protocols of all of them, at the shortest interval." : undefined,
    ...protocols.map((protocol) => sayOdd[protocol]),
  ];
  return {
    value: {
      protocols,
      max_groups: remark(mostSeries, sayMostSeries),
      select: select === undefined ? undefined : remark(select, ...says),
    },
    compat: [remark({ telegraf: { protocols } }, ...remarks, ...(select === undefined ? says : []))],
    interval: Math.min(...taken.map(({ interval }) => interval)),
  };
};
