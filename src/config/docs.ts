import { z } from "zod";
import { declarative } from "./declarative-schema.ts";
import { variables } from "./environment.ts";
import { durationSource } from "./kinds.ts";
import { schema } from "./schema.ts";
import { unbuiltKeys } from "./unbuilt.ts";

type Json = z.core.JSONSchema.JSONSchema;

const jsonSchema = (change: (node: Json) => void = () => {}): Json =>
  z.toJSONSchema(schema, {
    target: "draft-2020-12",
    io: "input",
    override: ({ jsonSchema: node }) => {
      // zod drops `default` from what it transforms, so that the defaults travel under a name of their own.
      if (node["standard"] !== undefined) node.default = node["standard"];
      delete node["standard"];
      change(node);
    },
  });

/** A number or a word may also come from the environment. */
const allowReference = (node: Json): void => {
  if (node.type === "integer" || node.type === "number")
    Object.assign(node, { type: [node.type, "string"], pattern: "\\$\\{" });
  if (node.enum === undefined) return;
  node.anyOf = [{ enum: node.enum }, { type: "string", pattern: "\\$\\{" }];
  delete node.enum;
  delete node.type;
};

/** The JSON schema of the file, by which editors complete and check it. */
export const renderSchema = (): string => {
  const whole = {
    title: "sockscope",
    description: "The configuration file of sockscope.",
    ...jsonSchema(allowReference),
  };
  return `${JSON.stringify(whole, undefined, 2)}\n`;
};

const object = (node: Json | boolean | undefined): Json => (typeof node === "object" ? node : {});

const branchesOf = (node: Json): readonly Json[] => (node.anyOf ?? [node]).map(object);

const rangeOf = ({ minimum, maximum }: Json): string =>
  minimum === undefined || maximum === undefined ? "" : ` ${minimum} to ${maximum}`;

const itemsOf = (node: Json): Json => (Array.isArray(node.items) ? {} : object(node.items));

const words: Readonly<Record<string, string>> = {
  string: "text",
  integer: "whole number",
  boolean: "true or false",
  object: "map",
};

/** `on` and `off`, and what YAML has for them. */
const isSwitch = (node: Json): boolean => node.anyOf?.some((branch) => object(branch).type === "boolean") === true;

const typeOf = (node: Json): string => {
  if (isSwitch(node)) return "switch";
  if (node.anyOf !== undefined) return [...new Set(node.anyOf.map((branch) => typeOf(object(branch))))].join(" or ");
  if (node.enum !== undefined) return node.enum.map((value) => `\`${String(value)}\``).join(" or ");
  if (node.const !== undefined) return `\`${String(node.const)}\``;
  if (node.pattern === durationSource) return "duration";
  if (Array.isArray(node.type)) return node.type.map((type) => words[type] ?? type).join(" or ");
  if (node.type === "array") return `list of ${typeOf(itemsOf(node))}`;
  if (node.type === "object" && typeof node.additionalProperties === "object")
    return `map of ${typeOf(node.additionalProperties)}`;
  return `${words[node.type ?? ""] ?? node.type}${rangeOf(node)}`;
};

const defaultOf = ({ default: standard }: Json): string =>
  standard === undefined ? "" : `\`${typeof standard === "string" ? standard : JSON.stringify(standard)}\``;

/** The branches that have keys of their own, which a list of what may also stand alone has not. */
const keyedBranchesOf = (node: Json): readonly Json[] => {
  const branches = branchesOf(node);
  const alone = new Set(branches.map((branch) => JSON.stringify(branch)));
  return branches.filter((branch) => branch.type !== "array" || !alone.has(JSON.stringify(itemsOf(branch))));
};

/** A row for each key under a node, depth first. */
const rowsOf = (node: Json, prefix: string): string[] =>
  keyedBranchesOf(node).flatMap((branch) => {
    if (branch.type === "array") return rowsOf(itemsOf(branch), `${prefix}[]`);
    return Object.entries(branch.properties ?? {}).flatMap(([key, held]) => {
      const property = object(held);
      const path = `${prefix}.${key}`;
      const cells = [`\`${path}\``, typeOf(property), defaultOf(property), property.description ?? ""];
      return [`| ${cells.join(" | ")} |`, ...rowsOf(property, path)];
    });
  });

const tableOf = (rows: readonly string[]): string[] =>
  rows.length === 0 ? [] : ["| Key | Type | Default | Meaning |", "| --- | --- | --- | --- |", ...rows, ""];

const sectionOf = (key: string, node: Json): string =>
  [
    `## ${key}`,
    "",
    `${node.description} Type: ${typeOf(node)}.`,
    "",
    ...tableOf(rowsOf(node, key)),
    ...(notes[key] ?? []),
  ].join("\n");

/** What a section says beside its keys. */
const notes: Readonly<Record<string, readonly string[]>> = {
  probes: [
    "**Kinds.** `tcp`, `udp` and `icmp` take what the host's name resolves to; with `4` or `6` after the kind one family",
    "only. An IPv6 address stands in brackets or not: `tcp://[2001:db8::1]:443`, `icmp://2001:db8::1`; a zone may be",
    "written `%eth0` or `%25eth0`. Instead of a URL there may be a map, in `target` or in its place:",
    "`{ name: db, protocol: tcp, host: db.internal, port: 5432 }`, `{ protocol: unix, path: /run/app.sock }`.",
    "",
    "**Dialogues.** `send` is sent after connecting (and the TLS handshake, if there is one), `expect` then has to match",
    "what comes back. It is matched over bytes in [RE2's syntax](https://github.com/google/re2/wiki/Syntax). With `steps`",
    "this happens several times; a step with `starttls: on` ends with the TLS handshake, which then does not come first:",
    "",
    "```yaml",
    "- name: mail",
    "  target: tcp://mail.internal:25",
    "  tls: {}",
    "  steps:",
    "    - { expect: '^220 ' }",
    "    - { send: 'EHLO probe.internal\\r\\n', expect: '250 ' }",
    "    - { send: 'STARTTLS\\r\\n', expect: '220 ', starttls: on }",
    "    - { send: 'QUIT\\r\\n', expect: '221 ' }",
    "```",
    "",
    'The escapes of `send` are read in every kind of YAML text. In double quotes YAML reads its own first: `"\\r\\n"` is',
    'CR LF there, too, and a backslash is `"\\\\\\\\"`.',
    "",
    "**Files of targets.** A file that `targets_file` names is YAML or JSON, and has one of two forms: a list of targets as",
    "in `probes.targets` (or a map that has it as `targets`), or what Prometheus reads by `file_sd_configs`,",
    '`[{ "targets": ["db.internal:5432"], "labels": { "team": "edge" } }]`. In the latter a target without a kind is',
    "`tcp://`, labels become attributes, and those that start with `__` are dropped. The targets inherit `probes.interval`",
    "and `probes.timeout`, and their names must differ from those of all other files. Every 5s sockscope looks whether",
    "a file has come, changed or gone. A file with a fault keeps the targets that it had, and the log names every fault;",
    "at the start it is refused. A change of the configuration itself waits for SIGHUP.",
    "",
    "Files for TLS are found beside the file that names them, unless their paths are absolute, and are checked with it.",
    "",
  ],
  sockets: [
    "**Selection.** A socket is taken when `select.include` is empty or one of its entries matches, and no entry of",
    "`select.exclude` matches. An entry matches when every key that it has holds; a key holds when one of its values does.",
    "With `side: any` each key may hold at another end of the socket: `{ ports: [443], networks: [10.0.0.0/8] }` matches a",
    "connection from 10.0.0.7 to port 443 of any host. With `port_side` beside `side` the ports are looked for elsewhere:",
    "`{ ports: [443], networks: [10.0.0.0/8], side: remote, port_side: any }` is what peers in the network have with port 443",
    "here or with theirs. What a socket does not have matches nothing: a unix socket has no",
    "port. An entry that cannot match anything is refused.",
    "",
    "What the kernel can decide - ports, addresses, networks, hosts, loopback and states - is asked of it, so that other",
    "sockets cost next to nothing; the rest is decided here, as is all beyond some 30 ports and networks, which would cost",
    "the kernel more than they save. A connection that opens and closes between two ticks has no pid, command, cgroup or",
    "container any more: where its selection depends on one of these it is left out and counted as undecided.",
    "",
  ],
  compat: [
    "```yaml",
    "compat:",
    "  - datakit",
    "  - telegraf: { protocols: [tcp, udp] }",
    "  - ss_exporter:",
    "      label_folding: pid_condensed",
    "      metrics: { delivery_rate: off }",
    "  - sockstat",
    "  - connection_status",
    "```",
    "",
    "The series stand beside sockscope's own and are described in [METRICS.md](METRICS.md). Those of telegraf and those of",
    "ss_exporter have a budget each, `sockets.max_groups`; what `sockets.select` leaves out they leave out, too. Connected",
    "UDP sockets are read for telegraf only. `pid_condensed` needs the processes of the sockets, and so the permissions to",
    "see them: what has none is `(?)`. sockstat is there whatever `host.sockstat` says. With ss_exporter the page answers",
    "`/health` as it does `/livez`.",
    "",
    "What a target is called in `connection_status_up` it can say itself: a file of connection-status-exporter may have a",
    "name twice, a port with a unix socket, and `ip`, which that tool never connects to and here is `icmp`:",
    "`{ name: gateway ip4, target: icmp4://192.0.2.1, compat: { name: gateway, port: 80, protocol: ip4 } }`.",
    "",
  ],
};

const preamble = `# Configuration

<!-- Generated from src/config by \`npm run generate\`. -->

sockscope reads one YAML file: the one that \`-c\` names, else \`$SOCKSCOPE_CONFIG\`, else \`config/sockscope.yaml\`, else
\`/etc/sockscope/sockscope.yaml\`, else the one that is shipped. Every key is optional, and a key without a value counts as absent. \`sockscope check\`
reports every fault of a file with its line and column, and \`sockscope check --print\` shows the effective configuration.
Samples are in config/examples/.

A **duration** is written with its unit: \`250ms\`, \`10s\`, \`2m\`, \`1h\`, \`1m30s\`; the longest is \`168h\`. A **switch** is
\`on\` or \`off\`, and \`true\` and \`false\` mean the same.

## Environment variables in the file

A value may refer to the environment, as in a configuration of the OpenTelemetry collector:

| Written | Stands for |
| --- | --- |
| \`\${env:NAME}\` or \`\${NAME}\` | The variable; it is a fault when it is not set. |
| \`\${env:NAME:-default}\` | The variable, or the text after \`:-\` when it is not set. |
| \`$$\` | A dollar sign. |

- Values are replaced, keys are not, and what comes from a variable is not replaced again.
- A value that is one reference and nothing else is read as YAML: it may be a number or a switch, and an empty one counts
  as absent. Where text is asked it stays text. An attribute's value is text when the reference is in quotes.
- Inside of \`{ }\` and \`[ ]\` YAML needs the quotes: \`{ max_groups: "\${env:GROUPS}" }\`.
`;

const environmentSection = (): string =>
  [
    "## OpenTelemetry environment variables",
    "",
    "The file wins over these, key by key, and each time it does the log says so once. A value that cannot be used is ignored",
    "with a warning, and an empty one counts as absent. Where `export.otlp` is absent, an endpoint among them makes the",
    "destination; where it names several, they count for none, but for proxies, which are by the environment only. Variables",
    "about spans and logs, and the limits of attributes, which the specification does not apply to metrics, are not read.",
    "",
    "| Variable | Meaning |",
    "| --- | --- |",
    ...Object.entries(variables).map(([name, meaning]) => `| \`${name}\` | ${meaning} |`),
    "",
  ].join("\n");

/**
 * A row for each key of the declarative file that becomes something, depth first. An exporter is known by its name
 * alone, and one that is `like` another has the rows that the other has not.
 */
const declarativeRowsOf = (node: Json, prefix: string): string[] =>
  branchesOf(node).flatMap((branch) => {
    if (branch.type === "array") return declarativeRowsOf(itemsOf(branch), `${prefix}[]`);
    const properties = branch.properties ?? {};
    return Object.entries(properties).flatMap(([key, held]) => {
      const property = object(held);
      const path = prefix === "" || prefix.endsWith(".exporter") ? key : `${prefix}.${key}`;
      const own = property.description === undefined ? [] : [`| \`${path}\` | ${property.description} |`];
      const like = typeof property["like"] === "string" ? object(properties[property["like"]]) : {};
      const known = new Set(declarativeRowsOf(like, path));
      return [...own, ...declarativeRowsOf(property, path).filter((row) => !known.has(row))];
    });
  });

const declarativeSection = (): string =>
  [
    "## OpenTelemetry declarative configuration",
    "",
    "`OTEL_CONFIG_FILE` names a file in the form of",
    "[opentelemetry-configuration](https://github.com/open-telemetry/opentelemetry-configuration), schema 1.0 or 1.1, which",
    "other programs may share. It says what the variables above would say, and they count only where it refers to them; the",
    "log names those that are set in vain. The file of sockscope wins over it, key by key, and each time it does the log says",
    "so once. What the file leaves out has the defaults of its schema, not those of sockscope: an interval of 60 s, no",
    "compression. SIGHUP reads it again. A sample is config/examples/otel/declarative.yaml.",
    "",
    "A value refers to the environment by `${NAME}`, `${env:NAME}` or `${NAME:-default}`, and `$$` is a dollar sign, as above,",
    "with two differences: the default is also that of a variable which is empty, and a variable that is not set is empty. A",
    "value without quotes is what YAML makes of it after that.",
    "",
    "What sockscope cannot do is refused by its name, with file, line and column; what is about spans, logs and other programs",
    "is left aside, and the log names it. In the table an exporter stands without the keys around it.",
    "",
    "| Key | Becomes |",
    "| --- | --- |",
    ...declarativeRowsOf(z.toJSONSchema(declarative, { io: "input" }), ""),
    "",
  ].join("\n");

const unbuiltSection = (): string =>
  [
    "## Not in this version",
    "",
    "These are refused with a message of their own.",
    "",
    "| Key | Instead |",
    "| --- | --- |",
    ...Object.entries(unbuiltKeys).map(([key, remedy]) => `| \`${key}\` | ${remedy} |`),
    "",
  ].join("\n");

/** docs/CONFIGURATION.md: every key with type, default and meaning, and what the environment does. */
export const renderConfigurationDocs = (): string => {
  const sections = Object.entries(jsonSchema().properties ?? {}).map(([key, node]) => sectionOf(key, object(node)));
  return [preamble, ...sections, environmentSection(), declarativeSection(), unbuiltSection()].join("\n");
};
