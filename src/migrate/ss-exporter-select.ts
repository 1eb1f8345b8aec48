import { explain } from "../config/explain.ts";
import type { Path } from "../config/path.ts";
import { selectEntry } from "../config/select.ts";
import type { Report } from "./conversion.ts";
import { remark, type Value } from "./draft.ts";
import { spelled } from "./ss-exporter-metrics.ts";
import type { Selection } from "./ss-exporter-schema.ts";

const base: Path = ["logic", "selection"];

type Key = "pids" | "cmds" | "addresses" | "networks" | "hosts";

/** What the exporter would have made of a value that sockscope refuses. */
const otherwise: Readonly<Record<Key, string>> = {
  pids: "no process has it, and the exporter would have matched nothing",
  cmds: "the exporter would have matched nothing",
  addresses: "the exporter would have compared the text, and matched nothing",
  networks: "the exporter would have compared the text before the slash, or failed at each scrape",
  hosts: "the exporter would have ignored it",
};

/** The values that sockscope takes; the others are faults. */
const checked = <T>(key: Key, path: Path, values: readonly T[], report: Report): T[] =>
  values.filter((value, index) => {
    const [issue] = selectEntry.safeParse({ [key]: [value] }, { reportInput: true }).error?.issues ?? [];
    const [finding] = issue === undefined ? [] : explain(issue);
    if (finding !== undefined) report([...path, index], `${finding.message}; ${otherwise[key]}`);
    return finding === undefined;
  });

/** `10.1.2/24` with the zeros that it leaves out. */
const padNetwork = (network: string): string => {
  const [, address = "", prefix] = /^(\d+(?:\.\d+){0,2})(\/\d+)$/.exec(network) ?? [];
  return prefix === undefined ? network : `${address}${".0".repeat(4 - address.split(".").length)}${prefix}`;
};

type Networks = { readonly values: readonly string[]; readonly say: string | undefined };

const networksOf = (written: readonly string[], path: Path, report: Report): Networks => {
  const short = written.filter((network) => padNetwork(network) !== network);
  const values = checked(
    "networks",
    path,
    written.map((network) => padNetwork(network)),
    report,
  );
  return {
    values,
    say:
      short.length === 0
        ? undefined
        : `Written ${short.join(", ")}, which the exporter takes for the beginning of an address.`,
  };
};

type Range = { readonly lower: number; readonly upper: number };

const portsOf = (ranges: readonly Range[], path: Path, report: Report): (number | string)[] =>
  ranges.flatMap(({ lower, upper }, index): (number | string)[] => {
    const wrong = (
      [
        ["lower", lower],
        ["upper", upper],
      ] as const
    ).filter(([, port]) => !Number.isInteger(port) || port < 1 || port > 65_535);
    for (const [key] of wrong)
      report(
        [...path, index, key],
        "must be a whole number from 1 to 65535: the exporter takes any number, and no port is outside of these",
      );
    if (wrong.length > 0) return [];
    if (lower > upper) {
      report(
        [...path, index],
        `the range is reversed: the exporter would have matched nothing; write lower: ${upper}, upper: ${lower}`,
      );
      return [];
    }
    return lower === upper ? [lower] : [`${lower}-${upper}`];
  });

type Part = { readonly entry: Readonly<Record<string, Value>>; readonly says: readonly string[] };

const sayCmds =
  "The name of the executable, or of argv[0] without its path; the exporter compared whole command lines, and never matched.";
const sayHosts =
  "Looked up, and all of their addresses; the exporter ignored names, or asked for the name of each address.";
const sayPorts =
  "The ports of either end; the exporter looked at the other end's only, where a server's own port never is.";

const processesOf = ({ process: wanted = {} }: Selection, report: Report): Part[] => {
  const path = [...base, "process"];
  const pids = checked("pids", [...path, "pids"], wanted.pids ?? [], report);
  const named = (wanted.cmds ?? []).filter((cmd) => cmd !== "");
  const cmds = checked("cmds", [...path, "cmds"], named, report);
  return [
    ...(pids.length === 0 ? [] : [{ entry: { pids }, says: [] }]),
    ...(cmds.length === 0 ? [] : [{ entry: { cmds }, says: [sayCmds] }]),
  ];
};

const peersOf = ({ peering = {} }: Selection, report: Report): { include: Part[]; exclude: Part[] } => {
  const path = [...base, "peering"];
  const { addresses = [], networks = [], hosts = [] } = peering;
  const isList = Array.isArray(networks);
  const at = isList ? [...path, "networks"] : [...path, "networks", "exclude"];
  const { values, say } = networksOf(isList ? networks : networks.exclude, at, report);
  const part = (key: Key, held: readonly string[], says: readonly string[]): Part[] =>
    held.length === 0 ? [] : [{ entry: { [key]: held }, says }];
  const found = part("networks", values, say === undefined ? [] : [say]);
  const include = [
    ...part("addresses", checked("addresses", [...path, "addresses"], addresses, report), []),
    ...(isList ? found : []),
    ...part("hosts", checked("hosts", [...path, "hosts"], hosts, report), [sayHosts]),
  ];
  return { include, exclude: isList ? [] : found };
};

/** Ranges stand in either of two places, in either of two spellings. */
const rangesOf = (selection: Selection, report: Report): (number | string)[] => {
  const names = ["portRanges", "portranges"] as const;
  const read = (held: { readonly [K in (typeof names)[number]]?: readonly Range[] | undefined }, path: Path) => {
    const key = spelled(held, names, path, report);
    return key === undefined ? [] : portsOf(held[key] ?? [], [...path, key], report);
  };
  return [...read(selection, base), ...read(selection.peering ?? {}, [...base, "peering"])];
};

const alone: readonly Part[] = [{ entry: {}, says: [] }];
const orAlone = (parts: readonly Part[]): readonly Part[] => (parts.length === 0 ? alone : parts);

/** What is said of the selection as a whole, and `sockets.select`; undefined where every flow is taken. */
export const selectOf = (selection: Selection = {}, report: Report) => {
  const processes = processesOf(selection, report);
  const { include: peers, exclude } = peersOf(selection, report);
  const ports = rangesOf(selection, report);
  const said = new Set<string>();
  const once = (says: readonly string[]): string[] => says.filter((say) => !said.has(say) && said.add(say));
  const entries = orAlone(peers).flatMap((peer) =>
    orAlone(processes).map((holder): Value => {
      const hasPeer = Object.keys(peer.entry).length > 0;
      const entry = {
        ...holder.entry,
        ...(ports.length === 0 ? {} : { ports }),
        ...peer.entry,
        ...(hasPeer ? { side: "remote" } : {}),
        ...(hasPeer && ports.length > 0 ? { port_side: "any" } : {}),
      };
      return remark(entry, ...once([...holder.says, ...(ports.length === 0 ? [] : [sayPorts]), ...peer.says]));
    }),
  );
  const isOpen = processes.length === 0 && peers.length === 0 && ports.length === 0;
  const several = Math.max(processes.length, peers.length) > 1;
  const sayAny = several
    ? "An entry for each way to match: pids or cmds, and addresses, networks or hosts; what stands in one entry must hold together."
    : undefined;
  const sayEmpty =
    selection.process?.cmds?.includes("") === true
      ? 'cmds: [""] is left out: an empty name is no program\'s.'
      : undefined;
  const sayExclude = "Documented, and in no version of the exporter.";
  const select =
    isOpen && exclude.length === 0
      ? undefined
      : {
          include: isOpen ? undefined : entries,
          exclude:
            exclude.length === 0
              ? undefined
              : exclude.map(({ entry, says }) => remark({ ...entry, side: "remote" }, sayExclude, ...says)),
        };
  return { select, says: [sayAny, sayEmpty], needsProcess: processes.length > 0 };
};
