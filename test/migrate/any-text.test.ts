import fc from "fast-check";
import { stringify } from "yaml";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/config/parse.ts";
import { fileKinds, migrate, translate } from "../../src/migrate/migrate.ts";
import { ConfigError } from "../../src/model/errors.ts";
import { fixture } from "./migrating.ts";

/** A sockscope file that `check` accepts, or a fault with a place in the text. Variables may be missing. */
const expectSound = (text: string, run: () => string | undefined): void => {
  let made: string | undefined;
  try {
    made = run();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.faults.length).toBeGreaterThan(0);
    const lines = text.split("\n").length;
    for (const { line, column } of error.faults) {
      expect([line >= 1, line <= lines, column >= 1]).toEqual([true, true, true]);
    }
    return;
  }
  if (made === undefined) return;
  try {
    parseConfig(made, "m", {});
  } catch (error) {
    if (error instanceof ConfigError && error.faults.every(({ message }) => message.includes("environment variable")))
      return;
    throw new Error(`${String(error)}\nof\n${text}\nis\n${made}`, { cause: error });
  }
};

const checkAll = (text: string): void => {
  const source = { file: "f", text };
  expectSound(text, () => migrate(source));
  expectSound(text, () => translate(source)?.text);
  for (const kind of fileKinds) expectSound(text, () => migrate(source, kind));
};

const names = [
  "telegraf-whole.conf",
  "datakit-socket.conf",
  "ss-exporter-structure.yml",
  "ss-exporter-edge-server.yml",
  "connection-status-protocols.yaml",
];

const scrap = fc.constantFrom(
  "",
  "\n",
  "\n[",
  "]]",
  "[[inputs.socket]]\n",
  '"',
  "'",
  "=",
  "{",
  "}",
  ":",
  "- ",
  "  ",
  "#",
  "$",
  "${",
  "$X",
  "0",
  "-1",
  "99999",
  "1e9",
  "nan",
  "~",
  "true",
  "é",
  "\\",
  ".",
  "/",
  "::1",
  "*",
  "&a",
  "tcp://",
  "udp",
  "unix",
  "active",
);
const piece = fc.oneof(scrap, fc.string({ maxLength: 6 }));

/** A file with some of its characters replaced. */
const damaged = fc
  .tuple(fc.constantFrom(...names), fc.array(fc.tuple(fc.nat(4000), fc.nat(12), piece), { minLength: 1, maxLength: 4 }))
  .map(([name, edits]) =>
    edits.reduce((text, [from, length, put]) => {
      const at = from % (text.length + 1);
      return text.slice(0, at) + put + text.slice(at + length);
    }, fixture(name)),
  );

const scalar = fc.oneof(
  fc.constantFrom(
    "",
    "h",
    "::1",
    "[::1]",
    "10.0.0.0/8",
    "10.1/16",
    "/run/x",
    "tcp",
    "unix",
    "ip4",
    "pid_condensed",
    "raw_endpoint",
    "a b",
    "$",
    "${A}",
    "*",
  ),
  fc.integer({ min: -2, max: 70_000 }),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  fc.string({ maxLength: 8 }),
);
const listOf = <T>(item: fc.Arbitrary<T>) => fc.array(item, { maxLength: 3 });
const maybe = <T>(item: fc.Arbitrary<T>) => fc.oneof({ weight: 4, arbitrary: item }, { weight: 1, arbitrary: scalar });
const mapOf = (keys: Record<string, fc.Arbitrary<unknown>>) => fc.record(keys, { requiredKeys: [] });
const metric = maybe(
  mapOf({ active: scalar, bucketBounds: listOf(fc.double({ noNaN: true })), bucket_bounds: listOf(scalar) }),
);
const ranges = maybe(
  listOf(mapOf({ lower: fc.integer({ min: 0, max: 70_000 }), upper: fc.integer({ min: 0, max: 70_000 }) })),
);
const socket = mapOf({
  name: fc.oneof(fc.string({ minLength: 1, maxLength: 5 }), scalar),
  host: fc.oneof(fc.constantFrom("h", "::1", "[::1]", "/run/x"), scalar),
  port: fc.oneof(fc.integer({ min: 1, max: 65_535 }), scalar),
  protocol: fc.constantFrom("tcp", "tcp6", "udp", "ip", "ip6", "unix", "unixgram"),
  timeout: fc.oneof(fc.constantFrom(1, 0.5, 20), scalar),
});
const yamlFile = fc.oneof(
  mapOf({
    logic: maybe(
      mapOf({
        metrics: maybe(
          mapOf({
            histograms: maybe(mapOf({ active: scalar, rtt: metric, latency: metric })),
            gauges: maybe(mapOf({ rtt: metric, deliveryRate: metric })),
          }),
        ),
        compression: maybe(mapOf({ labelFolding: scalar, label_folding: mapOf({ origin: scalar }) })),
        selection: maybe(
          mapOf({
            process: maybe(mapOf({ pids: listOf(scalar), cmds: listOf(scalar) })),
            peering: maybe(
              mapOf({
                addresses: listOf(scalar),
                networks: fc.oneof(listOf(scalar), mapOf({ exclude: listOf(scalar) })),
                hosts: listOf(scalar),
                portRanges: ranges,
              }),
            ),
            portranges: ranges,
          }),
        ),
      }),
    ),
  }),
  fc.record({ sockets: listOf(socket) }),
);

describe("any text", () => {
  test("gives a sockscope file or faults with their places", () => {
    fc.assert(fc.property(fc.string(), checkAll), { numRuns: 80 });
  });

  test("that was a file of one of the tools", () => {
    fc.assert(fc.property(damaged, checkAll), { numRuns: 100 });
  });

  test("with the keys of the YAML files and any values", () => {
    fc.assert(
      fc.property(yamlFile, (file) => checkAll(stringify(file))),
      { numRuns: 120 },
    );
  });
});
