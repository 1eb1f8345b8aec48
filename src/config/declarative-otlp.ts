import { formatDuration, longestMs } from "../text/duration.ts";
import { isFault } from "../text/fault.ts";
import { defaults } from "./defaults.ts";
import type { Declared } from "./declared.ts";
import type { OtlpGrpc, OtlpHttp } from "./declarative-schema.ts";
import { explain, type Finding } from "./explain.ts";
import { parseGrpcEndpoint } from "./otlp-url.ts";
import { parsePairs } from "./pairs.ts";
import type { TlsFile } from "./parse.ts";
import type { Path } from "./path.ts";
import { type Destination, otlp } from "./schema.ts";

/** A place in the declarative file. */
export type Places = {
  /** A key with its place, for notes. */
  readonly originOf: (path: Path) => string;
  readonly faultAt: (path: Path) => TlsFile["fault"];
};

type Key = keyof Destination;

/** An exporter as an item of `export.otlp`, and which of its keys became those; an empty name is the exporter itself. */
type Mapped = {
  readonly item: Readonly<Partial<Record<Key, unknown>>>;
  readonly keys: readonly (readonly [Key, string])[];
};

type Tls = OtlpHttp["tls"];

const isSecure = (url: string): boolean => /^\s*https:/i.test(url);

const tlsOf = ({ ca_file, cert_file, key_file }: NonNullable<Tls>) => ({
  ...(ca_file === undefined ? {} : { ca_file }),
  ...(cert_file === undefined ? {} : { cert_file }),
  ...(key_file === undefined ? {} : { key_file }),
});

/** By name without regard to case, in which the list of maps comes before the text. */
const headersOf = ({ headers = [], headers_list: listed = "" }: OtlpHttp): Readonly<Record<string, string>> => {
  const known = new Map<string, readonly [string, string]>();
  for (const [name, value] of Object.entries(parsePairs(listed) ?? {})) known.set(name.toLowerCase(), [name, value]);
  for (const { name, value } of headers) if (value !== undefined) known.set(name.toLowerCase(), [name, value]);
  return Object.fromEntries(known.values());
};

/** An endpoint that is absent is left to the protocol, which the file of sockscope may choose. */
const commonOf = (exporter: OtlpHttp | OtlpGrpc, url: string = defaults.otlp.endpoint): Mapped => {
  const { tls, compression = "none", timeout = 10_000, temporality_preference: temporality = "cumulative" } = exporter;
  return {
    item: {
      ...(tls !== undefined && isSecure(url) ? { tls: tlsOf(tls) } : {}),
      headers: headersOf(exporter),
      compression,
      timeout: formatDuration(timeout === 0 ? longestMs : timeout),
      temporality: temporality === "cumulative" ? "cumulative" : "delta",
    },
    keys: [
      ["tls", "tls"],
      ["headers", exporter.headers === undefined ? "headers_list" : "headers"],
      ["compression", "compression"],
      ["timeout", "timeout"],
      ["temporality", "temporality_preference"],
    ],
  };
};

export const mapHttp = (exporter: OtlpHttp): Mapped => {
  const { endpoint, encoding = "protobuf" } = exporter;
  const { item, keys } = commonOf(exporter, endpoint);
  return {
    item: {
      ...item,
      ...(endpoint === undefined ? {} : { metrics_endpoint: endpoint }),
      protocol: encoding === "json" ? "http/json" : "http/protobuf",
    },
    keys: [["metrics_endpoint", "endpoint"], ["protocol", "encoding"], ...keys],
  };
};

export const mapGrpc = (exporter: OtlpGrpc): Mapped => {
  const { endpoint, tls } = exporter;
  const parsed = endpoint === undefined ? undefined : parseGrpcEndpoint(endpoint, tls?.insecure === true);
  const url = parsed === undefined || isFault(parsed) ? endpoint : parsed.url;
  const { item, keys } = commonOf(exporter, url);
  return {
    item: { ...item, ...(url === undefined ? {} : { endpoint: url }), protocol: "grpc" },
    keys: [["endpoint", "endpoint"], ["protocol", ""], ...keys],
  };
};

const holds = { ca_file: "authorities", cert_file: "certificate", key_file: "key" } as const;

const tlsFilesOf = ({ tls }: Destination, path: Path, { faultAt }: Places): TlsFile[] =>
  (["ca_file", "cert_file", "key_file"] as const).flatMap((key): TlsFile[] => {
    const file = tls?.[key];
    if (file === undefined) return [];
    const certificate = key === "key_file" ? tls?.cert_file : undefined;
    return [{ holds: holds[key], file, certificate, fault: faultAt([...path, "tls", key]) }];
  });

/**
 * The exporter at this path as a destination. What `export.otlp` cannot hold is refused as it is there, in the place of
 * the key that it comes from.
 */
export const declare = (exporter: OtlpHttp | OtlpGrpc, mapped: Mapped, path: Path, places: Places) => {
  const { item, keys } = mapped;
  const pathOf = (name: string): Path => (name === "" ? path : [...path, name]);
  const { data, error } = otlp.safeParse(item, { reportInput: true });
  const base = ["export", "otlp"];
  const findings = (error?.issues ?? [])
    .flatMap((issue) => explain(issue, base))
    .map((finding): Finding => {
      const [key, ...rest] = finding.path.slice(base.length);
      const name = keys.find(([known]) => known === key)?.[1] ?? "";
      return { ...finding, path: [...pathOf(name), ...(key === "tls" ? rest : [])], at: "key" };
    });
  if (data === undefined) return { findings, declared: undefined };
  const given: Readonly<Record<string, unknown>> = exporter;
  const origins = keys
    .filter(([key, name]) => Object.hasOwn(item, key) && (name === "" || given[name] !== undefined))
    .map(([key, name]) => [key, places.originOf(pathOf(name))] as const);
  const declared: Declared = {
    fields: data,
    origins: new Map(origins),
    tlsFiles: tlsFilesOf(data, path, places),
  };
  return { findings, declared };
};
