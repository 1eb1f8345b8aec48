import { type Config, flowFamilies, type OtlpConfig } from "../model/config.ts";
import type { Target } from "../model/target.ts";
import { formatDuration } from "../text/duration.ts";
import { formatHostPort } from "./host-port.ts";
import { baseOf } from "./otlp-url.ts";
import { renderYaml, type YamlMap } from "./render-yaml.ts";

const onOff = (on: boolean): string => (on ? "on" : "off");

const targetIn = (target: Target): YamlMap => ({
  name: target.name,
  target: target.url,
  interval: formatDuration(target.intervalMs),
  timeout: formatDuration(target.timeoutMs),
  attributes: target.attributes,
  ...("silenceMs" in target ? { udp_silence: formatDuration(target.silenceMs) } : {}),
});

const otlpIn = ({ url, compression, headers, timeoutMs, retry, queueBytes }: OtlpConfig): YamlMap => {
  const base = baseOf(url);
  return {
    ...(base === undefined ? { metrics_endpoint: url } : { endpoint: base }),
    protocol: "http/protobuf",
    compression,
    headers: Object.fromEntries(Object.keys(headers).map((name) => [name, "***"])),
    timeout: formatDuration(timeoutMs),
    retry_on_failure: {
      initial_interval: formatDuration(retry.initialIntervalMs),
      multiplier: retry.multiplier,
      randomization_factor: retry.randomizationFactor,
      max_interval: formatDuration(retry.maxIntervalMs),
      max_elapsed_time: formatDuration(retry.maxElapsedMs),
    },
    sending_queue: { max_mib: queueBytes / 1_048_576 },
  };
};

/** The effective configuration as a file that sockscope reads; the value of every header is masked. */
export const renderEffective = (config: Config): string => {
  const { collection, resource, paths, probes, sockets, host } = config;
  const { otlp, prometheus } = config.export;
  return renderYaml({
    collection: { interval: formatDuration(collection.intervalMs), timeout: formatDuration(collection.timeoutMs) },
    resource: { attributes: resource.attributes },
    paths,
    probes: { concurrency: probes.concurrency, targets: probes.targets.map(targetIn) },
    sockets:
      sockets === "off"
        ? "off"
        : {
            source: sockets.source,
            protocols: sockets.protocols,
            time_wait: sockets.timeWait,
            group_by: sockets.groupBy,
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
      ...(otlp === undefined ? {} : { otlp: otlpIn(otlp) }),
      ...(prometheus === undefined ? {} : { prometheus: { listen: formatHostPort(prometheus) } }),
    },
  });
};
