import { type OtlpProtocol, otlpProtocols } from "../model/config.ts";
import { ConfigError, type ConfigFault } from "../model/errors.ts";
import { beside } from "./beside.ts";
import { crossCheck } from "./cross-checks.ts";
import { type Reading as DocumentReading, readDocument, type Source } from "./document.ts";
import type { Env } from "./env.ts";
import { readEnvironment } from "./environment.ts";
import type { Given, GivenDestination } from "./given.ts";
import { readDeclarative } from "./declarative.ts";
import { block } from "./kinds.ts";
import { normalise, type PageAddress, type Parsed } from "./normalise.ts";
import type { Path } from "./path.ts";
import { type File, inherited, schema, targetsFile } from "./schema.ts";
import { mapOf, sound } from "./sound.ts";
import { checkTargets, type TargetList } from "./target-checks.ts";
import { readTargetFile, writtenIn } from "./target-file.ts";
import { type Inherited, inheritedOf } from "./targets.ts";

/** What a file that a target, a destination or the page names has to hold, and with which certificate a private key has to go. */
export type TlsFile = {
  readonly holds: "authorities" | "certificate" | "key";
  readonly file: string;
  readonly certificate?: string | undefined;
  /** The fault of this message, where the file is named. */
  fault(message: string): ConfigFault;
};

/** A file that is to be written. */
export type OutputFile = Pick<TlsFile, "file" | "fault">;

/** An item of `probes.targets_file`. */
export type TargetPattern = {
  /** As it is written. */
  readonly pattern: string;
  /** Of the configuration, which the pattern is relative to; empty for the working directory. */
  readonly folder: string;
};

/** The configuration's own file. */
export type Main = {
  readonly source: Source;
  readonly env: Env;
  /** The OTEL_* variables, or the declarative file in their place. */
  readonly environment: Given;
  /** Of the declarative file. */
  readonly environmentFaults: readonly ConfigFault[];
  readonly document: DocumentReading<File>;
  readonly patterns: readonly TargetPattern[];
  /** Where the page listens, of the command line. */
  readonly listen: PageAddress | undefined;
};

/** A configuration with its files of targets. */
export type Reading = {
  /** undefined when there are faults. */
  readonly parsed: Parsed | undefined;
  /** In the order of the files and of their text. */
  readonly faults: readonly ConfigFault[];
  /** By file of targets, the other ones that have a name of it first. */
  readonly rivals: ReadonlyMap<string, readonly string[]>;
  /** What targets, destinations and the page name, also where there are faults. */
  readonly tlsFiles: readonly TlsFile[];
  /** What the exports name, also where there are faults. */
  readonly outputFiles: readonly OutputFile[];
};

/** What the file has in `export`. */
const exportIn = ({ document }: Pick<Main, "document">): Readonly<Record<string, unknown>> =>
  document.whole ? mapOf(mapOf(document.value)["export"]) : {};

/** Of the only destination; of several the environment says nothing. */
const protocolIn = (document: DocumentReading<File>): OtlpProtocol | undefined => {
  const written = exportIn({ document })["otlp"];
  const { protocol } = mapOf(Array.isArray(written) && written.length === 1 ? (written[0] as unknown) : written);
  return otlpProtocols.find((known) => known === protocol);
};

/** Reads the configuration's own file, which says what files of targets there are, and the declarative one. */
export const readMain = (source: Source, env: Env, declared?: Source, listen?: PageAddress): Main => {
  const empty = "the file is empty: write a key, or {} for the defaults";
  const document = readDocument(source, env, () => schema, empty);
  const written = document.whole ? mapOf(mapOf(document.value)["probes"])["targets_file"] : undefined;
  const folder = beside(source.file, "");
  const patterns = (sound(targetsFile, written ?? []) ?? []).map((pattern) => ({ pattern, folder }));
  const { given: environment, faults: environmentFaults } =
    declared === undefined
      ? { given: readEnvironment(env, protocolIn(document)), faults: [] }
      : readDeclarative(declared, env);
  return { source, env, environment, environmentFaults, document, patterns, listen };
};

/** undefined for faulty defaults, of which nothing can be said, nor of what inherits them. */
const sharedBy = (probes: Readonly<Record<string, unknown>>): Inherited | undefined => {
  const times = sound(block(inherited), { interval: probes["interval"], timeout: probes["timeout"] });
  return times && inheritedOf(times);
};

type Listed = TargetList & { readonly source: Source; readonly reading: DocumentReading<unknown> };

const tlsKeys = { ca_file: "authorities", cert_file: "certificate", key_file: "key" } as const;

/** The files that a block `tls` at this path names. */
const tlsFilesIn = (written: unknown, path: Path, file: string, reading: DocumentReading<unknown>): TlsFile[] => {
  const tls = mapOf(written);
  return (["ca_file", "cert_file", "key_file"] as const).flatMap((key): TlsFile[] => {
    const named = tls[key];
    if (typeof named !== "string" || named === "") return [];
    const certificate = tls["cert_file"];
    return [
      {
        holds: tlsKeys[key],
        file: beside(file, named),
        certificate: key === "key_file" && typeof certificate === "string" ? beside(file, certificate) : undefined,
        fault: (message) => reading.place({ path: [...path, key], at: "value", message }),
      },
    ];
  });
};

const tlsFilesOf = ({ source, reading, targets }: Listed): TlsFile[] =>
  targets.flatMap(({ path, raw }) => tlsFilesIn(mapOf(raw)["tls"], [...path, "tls"], source.file, reading));

/** The files that the environment names; the fault of one has the variable in the path's place. */
const givenFiles = (file: string, { caFile, certFile, keyFile }: GivenDestination): TlsFile[] =>
  (
    [
      ["authorities", caFile],
      ["certificate", certFile],
      ["key", keyFile],
    ] as const
  ).flatMap(([holds, named]) =>
    named === undefined
      ? []
      : {
          holds,
          file: named.value,
          certificate: holds === "key" ? certFile?.value : undefined,
          fault: named.fault ?? ((message) => ({ file, line: 1, column: 1, path: named.origin ?? "", message })),
        },
  );

const isSecure = (url: unknown): boolean => typeof url === "string" && /^\s*https:/i.test(url);

/** The files of the destinations, and of the environment where it is used. */
const exportFilesOf = ({ document, source, environment }: Main): TlsFile[] => {
  if (!document.whole) return [];
  const at: Path = ["export", "otlp"];
  const written = mapOf(mapOf(document.value)["export"])["otlp"] ?? undefined;
  if (written === undefined && environment.otlp?.value !== true) return [];
  if (written === undefined && environment.declared.length > 0)
    return environment.declared.flatMap(({ tlsFiles }) => tlsFiles);
  const destinations = Array.isArray(written)
    ? (written as unknown[]).map((item, index) => ({ path: [...at, index], fields: mapOf(item) }))
    : [{ path: at, fields: mapOf(written) }];
  const named = destinations.map(({ path, fields }) =>
    tlsFilesIn(fields["tls"], [...path, "tls"], source.file, document),
  );
  const [only] = destinations;
  const [own = []] = named;
  const [one, ...more] = environment.declared;
  // Of several the environment says nothing.
  if (destinations.length > 1 || only === undefined) return named.flat();
  if (!isSecure(only.fields["metrics_endpoint"] ?? only.fields["endpoint"] ?? environment.url?.value)) return own;
  const ownTls = only.fields["tls"] ?? undefined;
  if (one !== undefined && more.length === 0) return ownTls === undefined ? [...one.tlsFiles] : own;
  const isOwn = (holds: TlsFile["holds"]): boolean =>
    own.some((file) => (file.holds === "authorities") === (holds === "authorities"));
  return [...own, ...givenFiles(source.file, environment).filter(({ holds }) => !isOwn(holds))];
};

/** The file of `export.file`, or else that of the environment. */
const outputFilesOf = (main: Main): OutputFile[] => {
  const { path } = mapOf(exportIn(main)["file"]);
  const { outputFile } = main.environment;
  if (path === undefined) return outputFile?.fault ? [{ file: outputFile.value, fault: outputFile.fault }] : [];
  if (typeof path !== "string" || path === "" || path.includes("\0")) return [];
  const fault: OutputFile["fault"] = (message) =>
    main.document.place({ path: ["export", "file", "path"], at: "value", message });
  return [{ file: beside(main.source.file, path), fault }];
};

/** The files of `election.tls`. */
const electionFilesOf = ({ document, source }: Main): TlsFile[] => {
  const election = document.whole ? mapOf(mapOf(document.value)["election"]) : {};
  return tlsFilesIn(election["tls"], ["election", "tls"], source.file, document);
};

/** The files of `export.prometheus`. */
const pageFilesOf = (main: Main): TlsFile[] => {
  const { document, source } = main;
  const { tls } = mapOf(exportIn(main)["prometheus"]);
  return tlsFilesIn(tls, ["export", "prometheus", "tls"], source.file, document);
};

/** Reads the configuration with these files of targets, and finds every fault of all of them. */
export const readConfig = (main: Main, targetFiles: readonly Source[]): Reading => {
  const { document, env, environment, environmentFaults, source, listen } = main;
  const probes = document.whole ? mapOf(mapOf(document.value)["probes"]) : {};
  const own = { source, reading: document, file: undefined };
  const files = targetFiles.map((from) => ({ source: from, file: from.file, ...readTargetFile(from, env) }));
  const lists: readonly Listed[] = [{ ...own, targets: writtenIn(probes["targets"], "probes", "targets") }, ...files];
  const checked = checkTargets(lists, sharedBy(probes));
  const others = document.whole ? crossCheck(document.value, environment) : [];
  const result = {
    faults: [
      ...checked.flatMap(({ reading, file, findings }) =>
        reading.faults(file === undefined ? [...others, ...findings] : findings),
      ),
      ...environmentFaults,
    ],
    rivals: new Map(checked.map(({ source: { file }, rivals }) => [file, rivals])),
    tlsFiles: [...checked.flatMap(tlsFilesOf), ...electionFilesOf(main), ...exportFilesOf(main), ...pageFilesOf(main)],
    outputFiles: outputFilesOf(main),
  };
  const { data } = document;
  if (result.faults.length > 0 || data === undefined) return { ...result, parsed: undefined };
  const targets = checked.flatMap(({ source: { file }, fields }) => fields.map((each) => ({ fields: each, file })));
  return { ...result, parsed: normalise(data, source.file, environment, targets, listen) };
};

/**
 * The configuration that a file's text describes, with a declarative file's and without its files of targets. Throws a `ConfigError` with every fault
 * of the file. No message holds the value of a header.
 */
export const parseConfig = (text: string, file: string, env: Env, declared?: Source): Parsed => {
  const { parsed, faults } = readConfig(readMain({ file, text }, env, declared), []);
  if (parsed === undefined) throw new ConfigError(faults);
  return parsed;
};
