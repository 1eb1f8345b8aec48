import type { Attributes } from "./columns.ts";

export const probeTypes = [
  "tcp",
  "tcp4",
  "tcp6",
  "udp",
  "udp4",
  "udp6",
  "icmp",
  "icmp4",
  "icmp6",
  "unix",
  "unixgram",
  "unixpacket",
] as const;
export type ProbeType = (typeof probeTypes)[number];

/** What the series of `compat: [connection_status]` say of a target, where that differs from what it is. */
export type CompatLabels = {
  readonly name?: string | undefined;
  readonly host?: string | undefined;
  readonly port?: string | undefined;
  readonly protocol?: string | undefined;
};

type Common = {
  /** Unique among the targets. */
  readonly name: string;
  /** As written, `tcp://host:port`; what messages and the table show. */
  readonly url: string;
  readonly intervalMs: number;
  /** Bounds a whole run, name resolution and all attempts included; never above `intervalMs`. */
  readonly timeoutMs: number;
  /** How often a run that fails is tried, at least 1. */
  readonly attempts: number;
  /** The target's own attributes, beside those that every target has. */
  readonly attributes: Attributes;
  /** Every agent probes it, whoever leads. */
  readonly everywhere?: true | undefined;
  readonly compat?: CompatLabels | undefined;
};

/** Where packets leave from; undefined: where the routing table says. */
export type Source = { readonly address: string | undefined; readonly interface: string | undefined };

type Host = {
  readonly host: string;
  /** Each address of the host is tested, instead of the first one that answers. */
  readonly allAddresses: boolean;
  readonly source: Source;
};

export type TlsOptions = {
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  /** SNI and the name that the certificate must have; undefined: the host. */
  readonly serverName: string | undefined;
  /** The certificate is not verified. */
  readonly insecure: boolean;
};

/** Sends, then waits for what is expected, then shakes hands. */
export type Step = {
  /** Bytes, each a character from U+0000 to U+00FF. */
  readonly send: string | undefined;
  /** A regular expression, see text/pattern.ts. */
  readonly expect: string | undefined;
  readonly starttls: boolean;
};

type Stream = {
  /** A handshake right after connecting, unless a step has `starttls`. */
  readonly tls: TlsOptions | undefined;
  readonly steps: readonly Step[];
};

type Message = Pick<Step, "send" | "expect">;

type Packets = {
  /** Packets of a run. */
  readonly count: number;
  readonly packetIntervalMs: number;
};

/** Silence this long after a packet is the end of waiting for its answer. */
type Silence = { readonly silenceMs: number };

type Options = {
  tcp: Host & { readonly port: number } & Stream;
  udp: Host & { readonly port: number } & Message & Packets & Silence;
  icmp: Host & Packets;
  unix: { readonly path: string } & Stream;
  /** unixgram and unixpacket. */
  unixMessage: { readonly path: string } & Message & Silence;
};

type OptionsOf<T extends ProbeType> = T extends `tcp${string}`
  ? Options["tcp"]
  : T extends `udp${string}`
    ? Options["udp"]
    : T extends `icmp${string}`
      ? Options["icmp"]
      : T extends "unix"
        ? Options["unix"]
        : Options["unixMessage"];

export type Target<T extends ProbeType = ProbeType> = { [P in T]: { readonly type: P } & Common & OptionsOf<P> }[T];
