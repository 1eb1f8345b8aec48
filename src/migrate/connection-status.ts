import { z } from "zod";
import { readDocument, type Source } from "../config/document.ts";
import { block, oneOf, optional, text } from "../config/kinds.ts";
import type { Path } from "../config/path.ts";
import { endFaults, type Protocol } from "../config/target.ts";
import { convert, type Conversion, headOf, type Report, spanOf } from "./conversion.ts";
import { type Draft, remark, type Value } from "./draft.ts";
import { createNames } from "./names.ts";

/** The networks of Go's net.Dial that the exporter knows. */
const protocols = [
  "tcp",
  "tcp4",
  "tcp6",
  "udp",
  "udp4",
  "udp6",
  "ip",
  "ip4",
  "ip6",
  "unix",
  "unixgram",
  "unixpacket",
] as const satisfies readonly Protocol[];

const number = (what: string) => z.number({ error: `must be ${what}` });

const socket = block({
  name: text("the name of the socket"),
  host: optional(text("the name or the address of a host, or the path of a unix socket"), "Host."),
  port: optional(number("a port, a number without quotes"), "Port."),
  protocol: optional(oneOf(protocols), "What is dialled."),
  timeout: optional(number("a number of seconds"), "Of the check."),
});

type Socket = z.output<typeof socket>;

const file = block({
  sockets: z.array(socket, { error: "must be a list of sockets" }),
});

const defaultSeconds = 5;
const intervalMs = 15_000;

const timeoutOf = (
  { timeout }: Socket,
  path: Path,
  report: Report,
): { readonly ms: number; readonly say: string | undefined } => {
  if (timeout === undefined || timeout === 0) return { ms: defaultSeconds * 1000, say: undefined };
  if (!(timeout > 0) || timeout > 604_800) {
    report(
      [...path, "timeout"],
      "must be a number of seconds above 0: with it the exporter would have reported 0 at once",
    );
    return { ms: 1, say: undefined };
  }
  const taken = Math.trunc(timeout) || defaultSeconds;
  const say = Number.isInteger(timeout)
    ? undefined
    : `The exporter cuts the timeout to whole seconds and took ${taken}s; here it is what it says.`;
  return { ms: timeout * 1000, say };
};

/** Where the probe goes, the labels that it would not have by itself, and what is said of it. */
type End = {
  readonly host: string;
  readonly port: number | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly say: string | undefined;
};

const portLabel = ({ port }: Socket): Readonly<Record<string, string>> =>
  port === undefined ? {} : { port: String(port) };

const unixEnd = (fields: Socket): End => ({
  host: fields.host ?? "",
  port: undefined,
  labels: portLabel(fields),
  say:
    fields.port === undefined
      ? undefined
      : `The exporter dials the path with ":${fields.port}" behind it, which is hardly ever there, and reports 0. Here the path is the host; the port is a label only.`,
});

const portFault = (port: number | undefined): string | undefined => {
  if (port === undefined) return "is missing: the exporter does not start without a port";
  if (port === 0) return "must be a whole number from 1 to 65535: the exporter does not start with port 0";
  if (!Number.isInteger(port))
    return `must be a whole number from 1 to 65535: the exporter would have dialled ${Math.trunc(port)}`;
  return port < 1 || port > 65_535
    ? "must be a whole number from 1 to 65535: the exporter would have reported 0 each time"
    : undefined;
};

const bare = (host: string): string => host.replace(/^\[(.*)\]$/s, "$1");

const inetEnd = ({ host = "", port }: Socket): End => {
  const isBare = host.includes(":") && !host.startsWith("[");
  return {
    host: bare(host),
    port,
    labels: bare(host) === host ? {} : { host },
    say: isBare ? "The exporter cannot dial an IPv6 address without brackets, and reports 0." : undefined,
  };
};

const echoEnd = (fields: Socket): End => {
  const protocol = fields.protocol ?? "ip";
  const { host, labels } = inetEnd(fields);
  return {
    host,
    port: undefined,
    labels: { ...labels, ...portLabel(fields), protocol },
    say: `The exporter cannot dial ${protocol}, and reports 0 each time. Here it is an ICMP echo (ping) of the host, which knows no port; the port is a label only.`,
  };
};

const isUnix = (protocol: Protocol): boolean => protocol.startsWith("unix");
const isEcho = (protocol: Protocol): boolean => protocol.startsWith("ip");

const targetOf = (fields: Socket, path: Path, nameOf: (name: string) => string, report: Report): Value => {
  const protocol = fields.protocol ?? "tcp";
  const { host, port } = fields;
  if (fields.name === "") report([...path, "name"], "must not be empty: the exporter does not start with it");
  if (host === undefined || host === "") {
    const message = isUnix(protocol)
      ? "it is the path of the socket"
      : "the exporter would have dialled this machine; write localhost for that";
    report(
      host === undefined ? path : [...path, "host"],
      `${host === undefined ? "host is missing" : "must not be empty"}: ${message}`,
    );
  }
  const portless = isUnix(protocol) || isEcho(protocol);
  const wrong = portless ? undefined : portFault(port);
  if (wrong !== undefined)
    report(port === undefined ? path : [...path, "port"], port === undefined ? `port ${wrong}` : wrong);
  const end = isUnix(protocol) ? unixEnd(fields) : isEcho(protocol) ? echoEnd(fields) : inetEnd(fields);
  const sound = host !== undefined && host !== "" && wrong === undefined;
  for (const [key, message] of sound ? endFaults({ protocol, host: end.host, port: end.port }) : [])
    report([...path, key], `${message}; the exporter would have reported 0 each time`);
  const { ms, say } = timeoutOf(fields, path, report);
  const long = ms > intervalMs ? "Its timeout is longer than the interval of the others." : undefined;
  const name = nameOf(fields.name);
  const labels = { ...(name === fields.name ? {} : { name: fields.name }), ...end.labels };
  return remark(
    {
      name,
      protocol,
      [isUnix(protocol) ? "path" : "host"]: end.host,
      port: end.port,
      interval: long && spanOf(ms),
      timeout: ms === defaultSeconds * 1000 ? undefined : spanOf(ms),
      compat: Object.keys(labels).length === 0 ? undefined : labels,
    },
    end.say,
    say,
    long,
    name === fields.name ? undefined : "A target's name is its own; the label stays as it was.",
  );
};

/** Sockets with the same labels are one series. */
const seriesOf = ({ name, host, port, protocol = "tcp" }: Socket): string =>
  JSON.stringify([name, host, port, protocol]);
const sayTwin = "It is in the list more than once; this is the last one, whose result the exporter shows.";

const draftOf = ({ sockets }: z.output<typeof file>, report: Report): Draft => {
  if (sockets.length === 0) report(["sockets"], "names no socket: the exporter would have exported nothing");
  const nameOf = createNames();
  const last = new Map(sockets.map((fields, index) => [seriesOf(fields), index]));
  const twins = new Set<string>();
  const targets = sockets.flatMap((fields, index) => {
    const series = seriesOf(fields);
    const isLast = last.get(series) === index;
    if (!isLast) twins.add(series);
    const target = targetOf(fields, ["sockets", index], isLast ? nameOf : (name) => name, report);
    return isLast ? [remark(target, twins.has(series) ? sayTwin : undefined)] : [];
  });
  const udp = sockets.some(({ protocol }) => protocol?.startsWith("udp") === true);
  return {
    head: headOf(
      "a connection-status-exporter configuration",
      "The exporter dials when it is scraped, one socket after the other, so that a few dead ones take longer than Prometheus waits. Here each is probed at its interval, side by side, and the page shows the last results.",
      udp
        ? "UDP: the exporter sends nothing and reports 1 wherever a name resolves. Here an empty datagram is sent: an ICMP error is 0, an answer or silence is 1; `send` and `expect` ask for an answer."
        : undefined,
    ),
    file: {
      collection: { interval: spanOf(intervalMs) },
      probes: remark(
        { interval: spanOf(intervalMs), timeout: spanOf(defaultSeconds * 1000), targets },
        "The exporter has no interval of its own; this is the scrape interval that most have.",
      ),
      sockets: "off",
      host: "off",
      compat: ["connection_status"],
      export: {
        prometheus: {
          listen: remark(
            "0.0.0.0:9293",
            "The exporter's own address: every machine that reaches this one can read the page. 127.0.0.1:9293 is for this one alone; basic_auth asks for a password.",
          ),
        },
      },
    },
  };
};

/** Reads a connection-status-exporter file. */
export const convertConnectionStatus = (source: Source): Conversion =>
  convert(
    readDocument(source, undefined, () => file, "the file is empty: the exporter would have exported nothing"),
    draftOf,
  );
