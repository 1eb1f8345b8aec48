import { z } from "zod";
import { block, optional } from "../config/kinds.ts";
import { textMap, texts } from "./conversion.ts";

const span = optional(
  z.union([z.string(), z.number()], { error: 'must be a duration such as "10s", or a number of seconds' }),
  "Duration.",
);
const word = optional(z.string({ error: "must be text" }), "Text.");
const flag = optional(z.boolean({ error: "must be true or false" }), "Switch.");
const count = optional(z.number({ error: "must be a number" }), "Number.");
const size = optional(z.union([z.string(), z.number()], { error: "must be a size" }), "Size.");
const words = optional(texts("text"), "Texts.");
const tags = optional(textMap("tags"), "Tags.");
const tagFilter = optional(
  z.record(z.string(), texts("patterns"), { error: "must be a map of tags to lists of patterns" }),
  "Patterns by tag.",
);

const agent = block({
  interval: span,
  round_interval: flag,
  precision: span,
  collection_jitter: span,
  collection_offset: span,
  flush_interval: span,
  flush_jitter: span,
  metric_batch_size: count,
  metric_buffer_limit: count,
  flush_buffer_when_full: flag,
  utc: flag,
  debug: flag,
  quiet: flag,
  logtarget: word,
  logformat: word,
  logfile: word,
  structured_log_message_key: word,
  logfile_rotation_interval: span,
  logfile_rotation_max_size: size,
  logfile_rotation_max_archives: count,
  log_with_timezone: word,
  hostname: word,
  omit_hostname: flag,
  snmp_translator: word,
  statefile: word,
  always_include_local_tags: flag,
  always_include_global_tags: flag,
  skip_processors_after_aggregators: flag,
  config_url_retry_attempts: count,
  buffer_strategy: word,
  buffer_directory: word,
  buffer_disk_sync: flag,
});

/** What every plugin can have: which of its metrics pass, and with what. */
const filters = {
  namepass: words,
  namepass_separator: word,
  namedrop: words,
  namedrop_separator: word,
  fieldpass: words,
  fieldinclude: words,
  pass: words,
  fielddrop: words,
  fieldexclude: words,
  drop: words,
  tagpass: tagFilter,
  tagdrop: tagFilter,
  tagexclude: words,
  taginclude: words,
  metricpass: word,
};

const plugin = {
  ...filters,
  alias: word,
  log_level: word,
  name_override: word,
  name_prefix: word,
  name_suffix: word,
  startup_error_behavior: word,
};

const input = {
  ...plugin,
  interval: span,
  precision: span,
  collection_jitter: span,
  collection_offset: span,
  time_source: word,
  always_include_local_tags: flag,
  always_include_global_tags: flag,
  tags,
};

const socketstat = block({ ...input, protocols: words, timeout: span });

const netResponse = block({
  ...input,
  protocol: word,
  address: word,
  timeout: span,
  read_timeout: span,
  send: word,
  expect: word,
});

const opentelemetry = block({
  ...plugin,
  flush_interval: span,
  flush_jitter: span,
  metric_batch_size: count,
  metric_buffer_limit: count,
  service_address: word,
  timeout: span,
  compression: word,
  encoding_type: word,
  metrics_schema: word,
  headers: tags,
  attributes: tags,
  coralogix: tags,
  tls_enable: flag,
  tls_ca: word,
  tls_cert: word,
  tls_key: word,
  tls_key_pwd: word,
  tls_min_version: word,
  tls_cipher_suites: words,
  tls_renegotiation_method: word,
  tls_server_name: word,
  insecure_skip_verify: flag,
  ssl_ca: word,
  ssl_cert: word,
  ssl_key: word,
  http_proxy_url: word,
  use_system_proxy: flag,
});

/** A plugin's tables; a single one, [inputs.x], will do. */
const tables = <T extends z.ZodType>(table: T, header: string) =>
  z
    .union([z.array(table), table.transform((only) => [only])], { error: `must be tables, as in [[${header}]]` })
    .optional();

const others = z.unknown().optional();

export const telegrafFile = z.strictObject(
  {
    agent: agent.optional(),
    global_tags: textMap("tags").optional(),
    tags: textMap("tags").optional(),
    inputs: z
      .looseObject({
        socketstat: tables(socketstat, "inputs.socketstat"),
        net_response: tables(netResponse, "inputs.net_response"),
      })
      .optional(),
    outputs: z.looseObject({ opentelemetry: tables(opentelemetry, "outputs.opentelemetry") }).optional(),
    processors: others,
    aggregators: others,
    secretstores: others,
  },
  {
    error: ({ code }) =>
      code === "unrecognized_keys"
        ? "agent,global_tags,inputs,outputs,processors,aggregators,secretstores"
        : "must be tables",
  },
);

export type TelegrafFile = z.output<typeof telegrafFile>;
export type Agent = z.output<typeof agent>;
export type Socketstat = z.output<typeof socketstat>;
export type NetResponse = z.output<typeof netResponse>;
export type Opentelemetry = z.output<typeof opentelemetry>;
export type Plugin = Pick<Socketstat, keyof typeof plugin>;
