import { formatAddress, formatNetwork } from "../model/address.ts";
import {
  type CompatConfig,
  type Config,
  type ElectionConfig,
  type FileConfig,
  flowFamilies,
  type NetnsSelection,
  type OtlpConfig,
  type PortRange,
  type PrometheusConfig,
  type SelectEntry,
  ssExporterMetrics,
} from "../model/config.ts";
import type { Step, Target, TlsOptions } from "../model/target.ts";
import { formatDuration } from "../text/duration.ts";
import { formatBytes } from "./bytes.ts";
import { formatHostPort } from "./host-port.ts";
import { baseOf } from "./otlp-url.ts";
import { renderYaml, type YamlMap, type YamlValue } from "./render-yaml.ts";
import { endKeys } from "./select.ts";

const onOff = (on: boolean): string => (on ? "on" : "off");

const given = (map: Readonly<Record<string, YamlValue | undefined>>): YamlMap => {
  const kept: Record<string, YamlValue> = {};
  for (const [key, value] of Object.entries(map)) if (value !== undefined) kept[key] = value;
  return kept;
};

const onWhen = (on: boolean): string | undefined => (on ? "on" : undefined);

const tlsIn = (tls: TlsOptions): YamlMap =>
  given({
    ca_file: tls.caFile,
    cert_file: tls.certFile,
    key_file: tls.keyFile,
    server_name_override: tls.serverName,
    insecure_skip_verify: onWhen(tls.insecure),
  });

const messageIn = ({ send, expect }: Pick<Step, "send" | "expect">): YamlMap =>
  given({ send: send === undefined ? undefined : formatBytes(send), expect });

const stepsIn = (steps: readonly Step[]): YamlMap => {
  const [first] = steps;
  if (first === undefined) return {};
  if (steps.length === 1 && !first.starttls) return messageIn(first);
  return { steps: steps.map((step) => ({ ...messageIn(step), ...given({ starttls: onWhen(step.starttls) }) })) };
};

const targetIn = (target: Target): YamlMap => ({
  name: target.name,
  target: target.url,
  interval: formatDuration(target.intervalMs),
  timeout: formatDuration(target.timeoutMs),
  attempts: target.attempts,
  attributes: target.attributes,
  ...(target.everywhere === true ? { election: "off" } : {}),
  ...(target.compat === undefined ? {} : { compat: given(target.compat) }),
  ...("tls" in target && target.tls !== undefined ? { tls: tlsIn(target.tls) } : {}),
  ...("steps" in target ? stepsIn(target.steps) : {}),
  ...("send" in target ? messageIn(target) : {}),
  ...("silenceMs" in target ? { udp_silence: formatDuration(target.silenceMs) } : {}),
  ...("count" in target ? { count: target.count, packet_interval: formatDuration(target.packetIntervalMs) } : {}),
  ...("allAddresses" in target
    ? given({
        all_addresses: onOff(target.allAddresses),
        source_address: target.source.address,
        interface: target.source.interface,
      })
    : {}),
});

const portsIn = ({ from, to }: PortRange): number | string => (from === to ? from : `${from}-${to}`);

const entryIn = ({ side, portSide, ...entry }: SelectEntry): YamlMap => {
  const written = {
    ...entry,
    ports: entry.ports?.map(portsIn),
    addresses: entry.addresses?.map(({ words }) => formatAddress(words)),
    networks: entry.networks?.map(formatNetwork),
  };
  return given(endKeys.some((key) => written[key] !== undefined) ? { ...written, side, port_side: portSide } : written);
};

/** What is not named is left out: an empty list is a fault in a file. */
const netnsIn = ({ containers, pids, names }: NetnsSelection): YamlMap =>
  Object.fromEntries(Object.entries({ containers, pids, names }).filter(([, named]) => named.length > 0));

const otlpIn = ({
  url,
  tls,
  protocol,
  compression,
  temporality,
  headers,
  timeoutMs,
  retry,
  queueBytes,
  newestFirst,
  storage,
}: OtlpConfig): YamlMap => {
  const base = protocol === "grpc" ? url : baseOf(url);
  return {
    ...(base === undefined ? { metrics_endpoint: url } : { endpoint: base }),
    ...(tls === undefined ? {} : { tls: tlsIn(tls) }),
    protocol,
    compression,
    temporality,
    headers: Object.fromEntries(Object.keys(headers).map((name) => [name, "***"])),
    timeout: formatDuration(timeoutMs),
    retry_on_failure: {
      initial_interval: formatDuration(retry.initialIntervalMs),
      multiplier: retry.multiplier,
      randomization_factor: retry.randomizationFactor,
      max_interval: formatDuration(retry.maxIntervalMs),
      max_elapsed_time: formatDuration(retry.maxElapsedMs),
    },
    sending_queue: given({ max_mib: queueBytes / 1_048_576, newest_first: onOff(newestFirst), storage }),
  };
};

const prometheusIn = ({ listen, basicAuth, tls }: PrometheusConfig): YamlMap => ({
  listen: formatHostPort(listen),
  ...(basicAuth === undefined ? {} : { basic_auth: { username: basicAuth.username, password: "***" } }),
  ...(tls === undefined ? {} : { tls: { cert_file: tls.certFile, key_file: tls.keyFile } }),
});

const fileIn = ({ path, maxBytes, maxFiles }: FileConfig): YamlMap => ({
  path,
  max_mib: maxBytes / 1_048_576,
  max_files: maxFiles,
});

const electionIn = (election: ElectionConfig | undefined): YamlMap => {
  if (election === undefined) return { backend: "none" };
  const { backend, mode, name, namespace, identity } = election;
  return given({
    backend: backend.kind,
    mode,
    name,
    namespace,
    identity,
    lease_duration: formatDuration(election.leaseDurationMs),
    renew_deadline: formatDuration(election.renewDeadlineMs),
    retry_period: formatDuration(election.retryPeriodMs),
    endpoints: backend.endpoints,
    tls: backend.tls && tlsIn(backend.tls),
    ...(backend.kind === "kubernetes"
      ? { token_file: backend.tokenFile }
      : { username: backend.credentials?.username, password: backend.credentials && "***" }),
  });
};

const compatIn = ({ datakit, telegraf, ssExporter, sockstat, connectionStatus }: CompatConfig): YamlMap[] => [
  ...(datakit ? [{ datakit: {} }] : []),
  ...(telegraf === undefined ? [] : [{ telegraf: { protocols: telegraf.protocols } }]),
  ...(ssExporter === undefined
    ? []
    : [
        {
          ss_exporter: {
            label_folding: ssExporter.labelFolding,
            metrics: Object.fromEntries(
              ssExporterMetrics.map((name) => [name, onOff(ssExporter.metrics.includes(name))]),
            ),
            rtt_histogram: ssExporter.rttBoundsMs === undefined ? "off" : { bounds_ms: ssExporter.rttBoundsMs },
          },
        },
      ]),
  ...(sockstat ? [{ sockstat: {} }] : []),
  ...(connectionStatus ? [{ connection_status: {} }] : []),
];

/** The effective configuration as a file that sockscope reads; passwords and the value of every header are masked. */
export const renderEffective = (config: Config): string => {
  const { collection, resource, paths, networks, probes, sockets, host, compat } = config;
  const { otlp, prometheus, file, console } = config.export;
  const single = otlp.length === 1 ? otlp[0] : undefined;
  return renderYaml({
    collection: { interval: formatDuration(collection.intervalMs), timeout: formatDuration(collection.timeoutMs) },
    resource: { attributes: resource.attributes },
    paths,
    networks: Object.fromEntries(networks.map(({ name, networks: held }) => [name, held.map(formatNetwork)])),
    probes: { concurrency: probes.concurrency, targets: probes.targets.map(targetIn) },
    election: electionIn(config.election),
    sockets:
      sockets === "off"
        ? "off"
        : {
            source: sockets.source,
            protocols: sockets.protocols,
            time_wait: sockets.timeWait,
            select: {
              include: sockets.select.include.map(entryIn),
              exclude: sockets.select.exclude.map(entryIn),
            },
            group_by: sockets.groupBy,
            namespaces: typeof sockets.namespaces === "string" ? sockets.namespaces : netnsIn(sockets.namespaces),
            events: sockets.events,
            max_groups: sockets.maxGroups,
            rank_by: sockets.rankBy,
            metrics: Object.fromEntries(
              flowFamilies.map((family) => [family, onOff(sockets.metrics.includes(family))]),
            ),
            series_ttl: sockets.seriesTtl,
            rtt_histogram: { bounds: sockets.rttBounds },
          },
    host: { sockstat: onOff(host.sockstat) },
    export: {
      ...(otlp.length === 0 ? {} : { otlp: single === undefined ? otlp.map(otlpIn) : otlpIn(single) }),
      ...(prometheus === undefined ? {} : { prometheus: prometheusIn(prometheus) }),
      ...(file === undefined ? {} : { file: fileIn(file) }),
      ...(console === undefined ? {} : { console: { format: console } }),
    },
    ...(Object.values(compat).some((tool) => tool !== undefined && tool !== false) ? { compat: compatIn(compat) } : {}),
  });
};
