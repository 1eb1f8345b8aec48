import { z } from "zod";
import { block, optional } from "../config/kinds.ts";
import type { Path } from "../config/path.ts";
import { formatHostPort } from "../config/host-port.ts";
import { endFaults } from "../config/target.ts";
import { probeAttributeFault } from "../config/target-schema.ts";
import type { Source } from "../config/document.ts";
import { type Fault, isFault } from "../text/fault.ts";
import {
  convert,
  type Conversion,
  headOf,
  listed,
  type Report,
  spanOf,
  spanRemark,
  textMap,
  texts,
} from "./conversion.ts";
import { type Draft, remark, type Value } from "./draft.ts";
import { parseGoDuration } from "./go-duration.ts";
import { createNames } from "./names.ts";
import { readToml } from "./toml.ts";

const span = z.union([z.string(), z.number()], { error: 'must be a duration such as "10s", or a number of seconds' });
const onOff = z.boolean({ error: "must be true or false" });

const socket = block({
  dest_url: optional(texts("URLs"), "tcp://host:port and udp://host:port."),
  interval: optional(span, "Between two rounds."),
  tcp_timeout: optional(span, "Of a TCP check."),
  udp_timeout: optional(span, "Of a UDP check."),
  election: optional(onOff, "Whether one DataKit of a namespace collects."),
  tags: optional(textMap("tags"), "More tags."),
});

type Socket = z.output<typeof socket>;

/** A plugin's tables, also where it is written as a single one. */
const sockets = z.union([z.array(socket), socket.transform((only) => [only])], {
  error: "must be tables, as in [[inputs.socket]]",
});

const missing = { error: "must have tables, as in [[inputs.socket]]" };
const file = z.looseObject({ inputs: z.looseObject({ socket: sockets }, missing) }, missing);

const seconds = 1000;
const defaultIntervalMs = 30 * seconds;
const defaultTimeoutMs = 10 * seconds;

type Span = { readonly ms: number; readonly remarks: readonly (string | undefined)[] };

/** DataKit takes a number, also one in quotes, for seconds, and cuts it to a whole one. */
const readSpan = (written: string | number | undefined, otherwise: number): Span | Fault => {
  if (written === undefined) return { ms: otherwise, remarks: [] };
  const number = typeof written === "number" || /^[+-]?\d*\.?\d+$/.test(written) ? Number(written) : undefined;
  const ms = number === undefined ? parseGoDuration(String(written)) : number * seconds;
  if (ms === undefined || !Number.isFinite(ms))
    return {
      fault: 'must be a duration such as "10s" or "1m30s", or a number of seconds: DataKit would have taken none of it',
    };
  if (ms <= 0) return { fault: "must be above 0: with it DataKit would have had every check fail at once" };
  const cut = number === undefined || Number.isInteger(number) ? undefined : Math.trunc(number);
  const remarks = [
    cut === undefined
      ? undefined
      : `DataKit cuts a number to whole seconds and took ${written} for ${cut}; here it is what it says.`,
    spanRemark(ms),
  ];
  return { ms, remarks };
};

type Url = { readonly type: "tcp" | "udp"; readonly url: string; readonly say: string | undefined };

const skipped =
  "DataKit would have logged an error each time, probed nothing, and put the host tags of the URLs behind it on the wrong ones";

/** Reads a URL as Go's url.Parse does, and refuses what DataKit could only fail with. */
const readUrl = (written: string): Url | Fault => {
  if (/^(?:tcp|udp):\/\/host:port$/i.test(written))
    return {
      fault: `${JSON.stringify(written)} is a placeholder of the shipped sample: write the host and the port to probe`,
    };
  const [, scheme = "", rest] = /^([A-Za-z][A-Za-z0-9+.-]*):([^]*)$/.exec(written) ?? [];
  if (rest === undefined) return { fault: `is no URL such as tcp://db.internal:5432: ${skipped}` };
  const type = (["tcp", "udp"] as const).find((known) => known === scheme.toLowerCase());
  if (type === undefined)
    return {
      fault: `must start with tcp:// or udp://: of ${JSON.stringify(scheme)} DataKit would have logged a warning, and probed nothing`,
    };
  if (!rest.startsWith("//"))
    return { fault: `has no host: DataKit would have dialled port 0 of no host; write ${type}://host:port` };
  const [authority = ""] = rest.slice(2).split(/[/?#]/);
  const place = authority.slice(authority.lastIndexOf("@") + 1);
  const colon = place.endsWith("]") ? -1 : place.lastIndexOf(":");
  if (colon < 0)
    return { fault: `has no port: DataKit would have dialled port 0, which never answers; write ${type}://host:port` };
  const digits = place.slice(colon + 1);
  if (digits !== "" && !/^\d+$/.test(digits)) return { fault: `the port must be a number: ${skipped}` };
  const port = Number(digits);
  if (port < 1 || port > 65_535)
    return {
      fault: `the port must be a whole number from 1 to 65535: DataKit would have dialled ${digits === "" ? "port 0" : `port ${digits}`}, which fails each time`,
    };
  const host = place
    .slice(0, colon)
    .replace(/^\[(.*)\]$/s, "$1")
    .replace(/%25(?=.)/, "%");
  if (host === "")
    return { fault: "the host is missing: DataKit would have looked up the empty name, which fails each time" };
  const [fault] = endFaults({ protocol: type, host, port });
  if (fault !== undefined) return { fault: `${fault[1]}: DataKit would have failed each time` };
  const url = `${type}://${formatHostPort({ host, port })}`;
  const bare = written.length <= `${type}://${place}`.length;
  return {
    type,
    url,
    say: bare ? undefined : "Its URL has more than a host and a port, which DataKit ignores, too.",
  };
};

const own = new Set(["dest_host", "dest_port", "proto"]);

/** Tags as attributes, and what is said of those that cannot be. */
const readTags = (tags: Readonly<Record<string, string>> = {}) => {
  const kept: Record<string, Value> = {};
  const left: string[] = [];
  for (const [name, value] of Object.entries(tags))
    if (own.has(name) || probeAttributeFault(name) !== undefined) left.push(JSON.stringify(name));
    else kept[name] = value;
  const attributes = Object.keys(kept).length === 0 ? undefined : kept;
  const say =
    left.length === 0 ? undefined : `The tags ${listed(left)} are left out: their values come from the target itself.`;
  return { attributes, say };
};

const sayElection = (election: boolean | undefined): string =>
  election === false
    ? "election = false: these targets are probed by every agent, also with a backend, as DataKit's document says (its code pauses the input all the same)."
    : "election = true: one agent probes once there is a backend, which docs/CLUSTER.md has; with none every agent that runs this file does.";

const shortestMs = 100;

type Times = { readonly interval: Span; readonly tcp: Span; readonly udp: Span };

/** A timeout above the interval would be refused. */
const capped = (timeout: Span, interval: Span): Span =>
  timeout.ms <= interval.ms
    ? timeout
    : { ms: interval.ms, remarks: [...timeout.remarks, "It was longer than the interval, and is capped to it."] };

const timesOf = (fields: Socket, path: Path, report: Report): Times => {
  const read = (key: "interval" | "tcp_timeout" | "udp_timeout", otherwise: number): Span => {
    const found = readSpan(fields[key], otherwise);
    if (!isFault(found)) return found;
    report([...path, key], found.fault);
    return { ms: otherwise, remarks: [] };
  };
  const interval = read("interval", defaultIntervalMs);
  if (interval.ms < shortestMs)
    report([...path, "interval"], "must be at least 100ms: DataKit would have taken 10s for it");
  const timeout = (key: "tcp_timeout" | "udp_timeout"): Span => capped(read(key, defaultTimeoutMs), interval);
  return { interval, tcp: timeout("tcp_timeout"), udp: timeout("udp_timeout") };
};

const sayClamp = (ms: number): string | undefined => {
  const bound = ms < 10 * seconds ? "10s" : ms > 60 * seconds ? "60s" : undefined;
  return bound && `DataKit makes ${bound} of this interval while protect_mode is on, which is its default.`;
};

const sayTwice = "It is in the list more than once, of which DataKit makes several points of one series.";

/** The URLs of one [[inputs.socket]], each once. */
const urlsOf = ({ dest_url: urls = [] }: Socket, path: Path, report: Report): Url[] => {
  if (urls.length === 0)
    report(path, "dest_url names no target: DataKit would have logged a warning each time, and probed nothing", "key");
  const found = new Map<string, Url>();
  for (const [index, written] of urls.entries()) {
    const url = readUrl(written);
    if (isFault(url)) report([...path, "dest_url", index], url.fault);
    else if (found.has(url.url)) found.set(url.url, { ...url, say: sayTwice });
    else found.set(url.url, url);
  }
  return [...found.values()];
};

/** What targets inherit: the times of the first block, of its TCP targets. */
type Shared = { readonly interval: string; readonly timeout: string };

const targetsOf = (
  fields: Socket,
  urls: readonly Url[],
  times: Times,
  shared: Shared,
  nameOf: (url: string) => string,
) => {
  const { attributes, say } = readTags(fields.tags);
  const interval = spanOf(times.interval.ms);
  return urls.map(({ type, url, say: sayUrl }, index): Value => {
    const timeout = spanOf(times[type].ms);
    const name = nameOf(url);
    const more = {
      interval: interval === shared.interval ? undefined : interval,
      timeout: timeout === shared.timeout ? undefined : timeout,
      election: fields.election === false ? "off" : undefined,
      attributes,
    };
    const plain = name === url && Object.values(more).every((held) => held === undefined);
    const item = plain ? url : { name: name === url ? undefined : name, target: url, ...more };
    const first = urls.findIndex((other) => other.type === type) === index;
    const whole = index === 0 ? [...times.interval.remarks, sayClamp(times.interval.ms), say] : [];
    return remark(item, ...whole, ...(first ? times[type].remarks : []), sayUrl);
  });
};

const notMigrated = ({ inputs, ...others }: z.output<typeof file>): string[] => [
  ...Object.keys(others),
  ...Object.keys(inputs)
    .filter((name) => name !== "socket")
    .map((name) => `inputs.${name}`),
];

const draftOf = (data: z.output<typeof file>, report: Report): Draft => {
  const nameOf = createNames();
  const blocks = data.inputs.socket.map((fields, index) => {
    const path = ["inputs", "socket", index];
    return { fields, urls: urlsOf(fields, path, report), times: timesOf(fields, path, report) };
  });
  const first = blocks[0]?.times;
  const shared: Shared = {
    interval: spanOf(first?.interval.ms ?? defaultIntervalMs),
    timeout: spanOf(first?.tcp.ms ?? defaultTimeoutMs),
  };
  const targets = blocks.flatMap(({ fields, urls, times }) => targetsOf(fields, urls, times, shared, nameOf));
  const left = notMigrated(data);
  const elections = [...new Set(blocks.map(({ fields }) => sayElection(fields.election)))];
  const shortest = Math.min(...blocks.map(({ times }) => times.interval.ms));
  return {
    head: headOf(
      "a DataKit configuration",
      "TCP: the timeout holds the lookup of the name as well, every address of the name is tried, and a failed check has no response_time, where DataKit says 0.",
      "UDP: no nc is run. An ICMP error is success = -1, an answer or silence for udp_silence (1s) is 1; DataKit believes whichever nc is installed, and has no point at all without one.",
      "Targets are probed side by side, each at its own time; DataKit goes through the list.",
      left.length === 0 ? undefined : `Not migrated: ${listed(left)}.`,
    ),
    file: {
      collection: { interval: remark(spanOf(shortest), "The tick, at which results are sent.") },
      election: remark({ backend: "none" }, ...elections),
      probes: { ...shared, targets },
      sockets: remark("off", "DataKit's socket input reads no sockets of this machine; `on` adds them."),
      host: "off",
      compat: ["datakit"],
      export: {
        prometheus: remark(
          { listen: "127.0.0.1:9464" },
          "DataKit sends to its DataWay, which sockscope does not speak. Send OTLP to a DataKit's opentelemetry input, as in",
          'otlp: { metrics_endpoint: "http://localhost:9529/otel/v1/metrics" }',
          "or scrape this page.",
        ),
      },
    },
  };
};

/** Reads a DataKit file with [[inputs.socket]]. */
export const convertDatakit = (source: Source): Conversion =>
  convert(
    readToml(source, () => file),
    draftOf,
  );
