import type { Temporality } from "../model/columns.ts";
import type { ConsoleFormat, OtlpConfig } from "../model/config.ts";
import type { ConfigFault } from "../model/errors.ts";
import type { LogLevel } from "../model/log.ts";
import type { Declared } from "./declared.ts";
import type { proxyOf } from "./proxy.ts";

/** A value and where it came from. */
export type Sourced<T> = {
  readonly value: T;
  /** A variable, or a key of the declarative file with its place; undefined for what that file leaves to its defaults. */
  readonly origin: string | undefined;
  /** The fault of this message, where a file has the value. */
  readonly fault?: ((message: string) => ConfigFault) | undefined;
};

/** Of one destination. A key that is absent says nothing. */
export type GivenDestination = {
  /** The full URL, or what gRPC has of one. */
  readonly url?: Sourced<string> | undefined;
  readonly headers?: Sourced<OtlpConfig["headers"]> | undefined;
  readonly protocol?: Sourced<OtlpConfig["protocol"]> | undefined;
  readonly compression?: Sourced<OtlpConfig["compression"]> | undefined;
  readonly exportTimeoutMs?: Sourced<number> | undefined;
  /** Files in PEM form. A client's certificate and key come together or not at all. */
  readonly caFile?: Sourced<string> | undefined;
  readonly certFile?: Sourced<string> | undefined;
  readonly keyFile?: Sourced<string> | undefined;
  readonly temporality?: Sourced<Temporality> | undefined;
};

/**
 * What OpenTelemetry's own configuration asks for, the OTEL_* variables or the declarative file: what holds where the
 * file of sockscope is silent. Its keys of a destination fill in what the only one of that file leaves open.
 */
export type Given = GivenDestination & {
  /** Nothing is to be read, probed or exported. */
  readonly disabled: Sourced<true> | undefined;
  readonly logLevel: Sourced<LogLevel> | undefined;
  readonly intervalMs: Sourced<number> | undefined;
  readonly timeoutMs: Sourced<number> | undefined;
  readonly attributes: ReadonlyMap<string, Sourced<string | number | boolean>>;
  /** Whether there is to be an export of each kind; undefined: that is not said. */
  readonly otlp: Sourced<boolean> | undefined;
  readonly prometheus: Sourced<boolean> | undefined;
  readonly console: Sourced<ConsoleFormat | false> | undefined;
  /** Destinations of the declarative file, beside which the keys above say nothing, but for the URL of a single one. */
  readonly declared: readonly Declared[];
  /** Of the page. */
  readonly host: Sourced<string> | undefined;
  readonly port: Sourced<number> | undefined;
  /** The absolute path of a file of OTLP JSON lines. */
  readonly outputFile: Sourced<string> | undefined;
  /** What is on the way to a URL. */
  readonly proxyOf: (url: string, isGrpc: boolean) => ReturnType<typeof proxyOf>;
  /** What was ignored, and why; a sentence each, without values. */
  readonly warnings: readonly string[];
};
