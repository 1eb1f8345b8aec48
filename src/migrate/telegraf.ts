import type { Source } from "../config/document.ts";
import { mapOf } from "../config/sound.ts";
import { convert, type Conversion, headOf, listed, type Report, spanOf, spanRemark } from "./conversion.ts";
import { type Draft, remark, type Value } from "./draft.ts";
import { createNames } from "./names.ts";
import { passes } from "./telegraf-filters.ts";
import { destinationOf } from "./telegraf-output.ts";
import { probeOf, probeTimeoutMs } from "./telegraf-probes.ts";
import { type TelegrafFile, telegrafFile } from "./telegraf-schema.ts";
import { socketsOf } from "./telegraf-sockets.ts";
import { mapOfTexts, readSpan, textOf } from "./telegraf-values.ts";
import { readToml } from "./toml.ts";

const agentMs = 10_000;
const shortestMs = 100;

const migrated: Readonly<Record<string, readonly string[]>> = {
  inputs: ["socketstat", "net_response"],
  outputs: ["opentelemetry"],
};

/** Plugins of all kinds that have nothing to do with sockets. */
const othersOf = (data: TelegrafFile): string[] =>
  (["inputs", "outputs", "processors", "aggregators", "secretstores"] as const).flatMap((group) =>
    Object.keys(mapOf(data[group]))
      .filter((name) => migrated[group]?.includes(name) !== true)
      .map((name) => `${group}.${name}`),
  );

const agentKeys = new Set(["interval", "hostname"]);

/** Keys of [agent] that say how Telegraf itself runs. */
const sayAgent = ({ agent = {} }: TelegrafFile): string | undefined => {
  const left = Object.keys(agent).filter((key) => !agentKeys.has(key));
  return left.length === 0 ? undefined : `No counterpart, of [agent]: ${listed(left)}.`;
};

const resourceOf = (data: TelegrafFile, more: Readonly<Record<string, string>>): Value | undefined => {
  const { agent: { hostname = "" } = {}, global_tags: globalTags, tags } = data;
  const attributes = {
    ...mapOfTexts({ ...tags, ...globalTags, ...more }),
    ...(hostname === "" ? {} : { "host.name": remark(textOf(hostname), "Telegraf's host tag.") }),
  };
  if (Object.keys(attributes).length === 0) return undefined;
  return remark(
    { attributes },
    "Global tags are on the resource of all metrics; on the Prometheus page that is target_info.",
  );
};

const probesOf = (data: TelegrafFile, interval: number, report: Report): Value | undefined => {
  const nameOf = createNames();
  const all = data.inputs?.net_response ?? [];
  const taken = all.map((fields, index) => ({ fields, path: ["inputs", "net_response", index] }));
  const targets = taken
    .filter(({ fields }) => passes(fields, "net_response"))
    .flatMap(({ fields, path }) => probeOf(fields, interval, nameOf, path, report) ?? []);
  if (targets.length === 0) return undefined;
  return remark(
    { interval: spanOf(interval), timeout: spanOf(Math.min(probeTimeoutMs, interval)), targets },
    "net_response has no series under its own name: response_time is sockscope.probe.latency (seconds, absent after a failure), result_code 0 is sockscope.probe.up = 1, and what result tells is the outcome and error.type of sockscope.probe.runs.",
    targets.length < all.length
      ? "Those whose own namepass or namedrop leaves net_response out are left out."
      : undefined,
  );
};

const exportOf = (data: TelegrafFile, report: Report) => {
  const written = (data.outputs?.opentelemetry ?? []).map((fields, index) =>
    destinationOf(fields, ["outputs", "opentelemetry", index], report),
  );
  const attributes = Object.fromEntries(written.flatMap((each) => Object.entries(each.attributes)));
  const [first] = written;
  if (first !== undefined)
    return { attributes, value: { otlp: written.length === 1 ? first.value : written.map(({ value }) => value) } };
  const value = {
    prometheus: remark(
      { listen: "127.0.0.1:9464" },
      'The file has no outputs.opentelemetry. Scrape this page, or name a receiver of OTLP, such as Telegraf\'s own inputs.opentelemetry behind a collector, as otlp: { endpoint: "http://localhost:4318" }.',
    ),
  };
  return { attributes, value };
};

const draftOf = (data: TelegrafFile, report: Report): Draft => {
  const interval = readSpan(data.agent?.interval, agentMs, ["agent", "interval"], report);
  if (interval < shortestMs) report(["agent", "interval"], "must be at least 100ms");
  const sockets = socketsOf(data.inputs?.socketstat ?? [], interval, report);
  const { attributes, value: exported } = exportOf(data, report);
  const others = othersOf(data);
  return {
    head: headOf(
      "a Telegraf configuration",
      "The sockets are those that `ss -in` shows of these protocols, read without ss: a row that ss prints oddly ends nothing, and there is no time at which all rows of a protocol are dropped.",
      others.length === 0 ? undefined : `Not migrated, leave them to Telegraf: ${listed(others)}.`,
      sayAgent(data),
    ),
    file: {
      collection: { interval: remark(spanOf(sockets.interval), spanRemark(sockets.interval)) },
      resource: resourceOf(data, attributes),
      probes: probesOf(data, interval, report),
      sockets: sockets.value,
      host: "off",
      compat: sockets.compat,
      export: exported,
    },
  };
};

/** Reads a whole telegraf.conf. */
export const convertTelegraf = (source: Source): Conversion =>
  convert(
    readToml(source, () => telegrafFile),
    draftOf,
  );
