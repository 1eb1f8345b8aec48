import type { Attributes } from "./columns.ts";

export const probeTypes = ["tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "unix"] as const;
export type ProbeType = (typeof probeTypes)[number];

type Common = {
  /** Unique among the targets. */
  readonly name: string;
  /** As written, `tcp://host:port`; what messages and the table show. */
  readonly url: string;
  readonly intervalMs: number;
  /** Bounds a whole run, name resolution included; never above `intervalMs`. */
  readonly timeoutMs: number;
  /** The target's own attributes, beside those that every target has. */
  readonly attributes: Attributes;
};

type Options = {
  tcp: { readonly host: string; readonly port: number };
  udp: {
    readonly host: string;
    readonly port: number;
    /** Silence this long after the datagram is `unanswered`. */ readonly silenceMs: number;
  };
  unix: { readonly path: string };
};

type OptionsOf<T extends ProbeType> = T extends `tcp${string}`
  ? Options["tcp"]
  : T extends `udp${string}`
    ? Options["udp"]
    : Options["unix"];

export type Target<T extends ProbeType = ProbeType> = { [P in T]: { readonly type: P } & Common & OptionsOf<P> }[T];
