import { isIP } from "node:net";
import { z } from "zod";
import { formatDuration } from "../text/duration.ts";
import { isFault } from "../text/fault.ts";
import { compilePattern } from "../text/pattern.ts";
import { parseBytes } from "./bytes.ts";
import { defaults } from "./defaults.ts";
import { hostFault } from "./host-port.ts";
import { attributes, block, duration, onOff, oneOf, optional, parsed, text, whole } from "./kinds.ts";
import { type End, endFaults, endKeys, endOf, parseTarget, protocols } from "./target.ts";

/** Shortest time between two ticks, or two runs of a probe. */
export const shortestIntervalMs = 100;

export const span = (description: string, ms: number) => optional(duration(1), description, formatDuration(ms));

const reservedAttribute = /^(?:sockscope\.probe\..*|server\.(?:address|port)|network\.transport|error\.type)$/s;

/** What is wrong with the name of an attribute of a target. */
export const probeAttributeFault = (name: string): string | undefined => {
  if (name === "") return "an attribute needs a name";
  return reservedAttribute.test(name) ? "is an attribute that sockscope sets itself: choose another name" : undefined;
};

/** Text that `fault` finds nothing wrong with. */
export const refusing = (fault: (written: string) => string | undefined, what?: string) =>
  parsed<string>(
    (written) => {
      const message = fault(written);
      return message === undefined ? written : { fault: message };
    },
    undefined,
    text(what),
  );

/** The path of a file, or a pattern for some. */
export const filePath = refusing((path) => {
  if (path === "") return "must not be empty";
  return path.includes("\0") ? "must be the path of a file" : undefined;
}, "the path of a file");

const aTarget = "a URL such as tcp://db.internal:5432";

const targetUrl = parsed(
  (url): End | { readonly fault: string } => {
    const destination = parseTarget(url);
    return isFault(destination) ? destination : { url, destination };
  },
  /^(?:(?:tcp|udp)[46]?:\/\/.+:\d+|(?:icmp|ip)[46]?:\/\/.+|unix(?:gram|packet)?:\/.*)$/,
  text(aTarget),
);

const endShape = {
  protocol: optional(
    oneOf(protocols),
    "Instead of a URL: the kind. ip, ip4 and ip6 are other words for icmp, icmp4 and icmp6.",
    "tcp",
  ),
  host: optional(
    text("the name or the address of a host"),
    "Instead of a URL: the host; of a unix socket its path, as path does.",
  ),
  port: optional(whole(1, 65_535), "Instead of a URL: the port, for tcp and udp."),
  path: optional(text("the absolute path of a unix socket"), "Instead of a URL: the path of a unix socket."),
};

type Fields = Readonly<Record<string, unknown>>;

const isMap = (value: unknown): boolean => typeof value === "object" && value !== null && !Array.isArray(value);

/** Also of a map with other faults, so that all of them are told at once. */
const always = { when: ({ value }: { readonly value: unknown }) => isMap(value) };

const refuseEnd = (fields: Fields, context: z.RefinementCtx): void => {
  for (const [key, message] of endFaults(fields)) context.addIssue({ code: "custom", path: [key], message });
};

const endMap = block(endShape).superRefine(refuseEnd, always).transform(endOf);

/** `tls`; `peer` is the other end. */
export const tlsBlock = (peer: string) =>
  block({
    ca_file: optional(
      filePath,
      "PEM file with the certificates that are trusted, instead of those of Node.js and of the system.",
    ),
    cert_file: optional(filePath, `PEM file with the certificate that is shown to the ${peer}, with key_file.`),
    key_file: optional(filePath, "PEM file with its private key, without a passphrase."),
    server_name_override: optional(
      refusing((name) => hostFault(name), "the name of a host"),
      `The name that the ${peer} is asked for and that its certificate must have. By default the host.`,
    ),
    insecure_skip_verify: optional(onOff(), "Accepts any certificate.", "off"),
  });

const tlsFields = tlsBlock("target");

export type TlsFields = z.output<typeof tlsFields>;

const tls = z.union([onOff().transform((on): TlsFields | false => on && {}), tlsFields], {
  error: "must be on, off or a map of keys",
});

/** What a datagram of UDP can hold. */
const mostBytes = 65_507;

const send = parsed<string>((written) => {
  const bytes = parseBytes(written);
  if (isFault(bytes) || bytes.length <= mostBytes) return bytes;
  return { fault: `can have ${mostBytes} bytes, this one has ${bytes.length}` };
});

const expect = refusing((source) => {
  const pattern = compilePattern(source);
  return isFault(pattern) ? pattern.fault : undefined;
});

const whatSend = "The escapes are \\r, \\n, \\t, \\0, \\xHH and \\\\ for a backslash.";

const step = block({
  send: optional(send, `What is sent first. ${whatSend}`),
  expect: optional(expect, "A regular expression that is waited for, after what is sent."),
  starttls: optional(onOff(), "The TLS handshake follows, with the options of tls; in one step at most."),
}).refine((fields) => fields.send !== undefined || fields.expect !== undefined || fields.starttls === true, {
  error: "must hold send, expect or starttls: on",
  // An unknown key may be one of these.
  when: ({ issues }) => issues.length === 0,
});

const mostSteps = 100;

const steps = z
  .array(step, { error: "must be a list of steps, each a map with send, expect or starttls" })
  .min(1, { error: "must hold a step" })
  .max(mostSteps, { error: `can hold ${mostSteps} steps` });

const sourceAddress = refusing(
  (address) => (isIP(address) === 0 ? "must be an IP address of this machine, as in 192.0.2.7" : undefined),
  "an IP address of this machine, as in 192.0.2.7",
);

/** IFNAMSIZ is 16 with the final NUL; the rest is dev_valid_name() of the kernel. */
const interfaceName = refusing((name) => {
  if (name === "") return "must not be empty";
  if (/[\s/:\0]/.test(name) || name === "." || name === "..")
    return "is no name of a network interface: it has neither blanks, slashes nor colons";
  return new TextEncoder().encode(name).length > 15
    ? "the name of a network interface has at most 15 bytes"
    : undefined;
}, "the name of a network interface");

/** A label is text, whatever it is about. */
const label = z.union([z.string(), z.number()], { error: "must be text" }).transform((written) => String(written));

const compat = block({
  name: optional(label, "The label name. By default the target's name."),
  host: optional(label, "The label host. By default the host, or the path of a unix socket."),
  port: optional(label, "The label port. By default the port, empty where there is none."),
  protocol: optional(label, "The label protocol. By default the kind."),
});

/** The keys of a target in its long form. */
export const targetShape = {
  name: optional(
    parsed<string>((name) => (name === "" ? { fault: "must not be empty" } : name)),
    "What metrics call the target, unique among the targets. By default its URL.",
  ),
  target: optional(
    z.union([targetUrl, endMap], { error: `must be ${aTarget}, or a map with host and port` }),
    "What to probe, a URL: tcp://host:port, udp://host:port, icmp://host (tcp4, tcp6, udp4 and so on for one address family), unix:///path, unixgram:///path or unixpacket:///path. Or a map with protocol, host, port and path, which may also stand beside name, without target.",
  ),
  ...endShape,
  interval: optional(
    duration(shortestIntervalMs),
    "Time between two runs, at least 100ms. By default probes.interval.",
  ),
  timeout: optional(
    duration(1),
    "How long a run may take, name resolution and all attempts included; above the interval it is refused. By default probes.timeout.",
  ),
  attempts: optional(whole(1, 10), "How often a run that fails is tried.", defaults.probes.attempts),
  election: optional(onOff(), "Whether an election says who probes this target; off: every agent does.", "on"),
  attributes: optional(attributes(probeAttributeFault), "Attributes of this target's metrics."),
  tls: optional(tls, "For tcp and unix: a TLS handshake after connecting. {} and on mean the defaults."),
  send: optional(send, `For all kinds but icmp: what is sent. ${whatSend}`),
  expect: optional(
    expect,
    "For all kinds but icmp: a regular expression in RE2's syntax that what comes back has to match somewhere.",
  ),
  steps: optional(
    steps,
    "For tcp and unix, instead of send and expect: a dialogue, one step after the other, at most 100.",
  ),
  udp_silence: span(
    "For udp, unixgram and unixpacket: silence this long after what is sent is the outcome unanswered. Inherited, it is capped to the timeout; above it, it is refused.",
    defaults.probes.silenceMs,
  ),
  count: optional(whole(1, 1_000), "For icmp and udp: packets of a run.", defaults.probes.count),
  packet_interval: span(
    "For icmp and udp: time from one packet to the next; all of them must fit in the timeout.",
    defaults.probes.packetIntervalMs,
  ),
  all_addresses: optional(
    onOff(),
    "Not for unix sockets: each address of the host has to answer, instead of one of them.",
    "off",
  ),
  source_address: optional(sourceAddress, "Not for unix sockets: the address that packets come from."),
  interface: optional(interfaceName, "Not for unix sockets: the network interface that packets leave by."),
  compat: optional(
    compat,
    "Labels of connection_status_up (compat: [connection_status]), where they are not to say what the target is.",
  ),
};

const refuseTarget = (fields: Fields, context: z.RefinementCtx): void => {
  const direct = endKeys.filter((key) => fields[key] !== undefined);
  const refuse = (key: string, message: string): void => context.addIssue({ code: "custom", path: [key], message });
  if (fields["target"] !== undefined) for (const key of direct) refuse(key, "stands beside target: set one of the two");
  else if (direct.length > 0) refuseEnd(fields, context);
  else refuse("target", `is missing: it must be ${aTarget}, or a map with host and port`);
};

const targetFields = block(targetShape)
  .superRefine(refuseTarget, always)
  .transform(({ protocol, host, port, path, target: end, ...fields }) => ({
    ...fields,
    target: end ?? endOf({ protocol, host, port, path }),
  }));

export type TargetFields = z.output<typeof targetFields>;

/** A target, in its short form or as a map. */
export const target = z.union([targetUrl.transform((end): TargetFields => ({ target: end })), targetFields], {
  error: `must be ${aTarget}, or a map with the key target`,
});

/** The part of a target, as it is written, that says what is probed; undefined where it is faulty. */
export const endOfRaw = (raw: Fields): End | undefined => {
  const direct = Object.fromEntries(endKeys.map((key) => [key, raw[key]]));
  const written = raw["target"] ?? direct;
  return targetShape.target.safeParse(written).data;
};
