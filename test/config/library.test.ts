import { describe, expect, test } from "vitest";
import { loadOwn, type SockscopeConfig } from "../../src/config/library.ts";
import { loadConfig } from "../../src/config/load.ts";
import { ConfigError } from "../../src/model/errors.ts";
import { configFile } from "../kit/agent.ts";

const faultsOf = async (config: unknown, env: NodeJS.ProcessEnv = {}) => {
  const error: unknown = await loadOwn(config as SockscopeConfig, env).catch((thrown: unknown) => thrown);
  if (!(error instanceof ConfigError)) throw new Error("no ConfigError", { cause: error });
  return error;
};

describe("an object", () => {
  test("is the configuration that a file of the same keys and values is", async () => {
    using file = configFile(`
collection: { interval: 2s }
networks: { office: [10.0.0.0/8] }
probes:
  timeout: 1s
  targets: ["tcp://db:5432", { name: a, target: "icmp://192.0.2.1", interval: 3s, attributes: { team: edge } }]
sockets: { group_by: [network.transport], select: { include: [{ ports: [443, "8000-9000"] }] }, metrics: { rtt: off } }
host: off`);
    const { config } = await loadOwn(
      {
        collection: { interval: "2s" },
        networks: { office: ["10.0.0.0/8"] },
        probes: {
          timeout: "1s",
          targets: [
            "tcp://db:5432",
            { name: "a", target: "icmp://192.0.2.1", interval: "3s", attributes: { team: "edge" } },
          ],
        },
        sockets: {
          group_by: ["network.transport"],
          select: { include: [{ ports: [443, "8000-9000"] }] },
          metrics: { rtt: false },
        },
        host: "off",
      },
      {},
    );
    expect(config).toEqual((await loadConfig({ file: file.path, env: {} })).config);
    expect((await loadOwn(file.path, {})).config).toEqual(config);
  });

  test("may be empty, and have keys without a value", async () => {
    expect((await loadOwn({}, {})).config).toEqual((await loadOwn({ probes: undefined }, {})).config);
  });

  test("has all its faults in one error, each with its path and the message of a file", async () => {
    const config = { probes: { interval: "1 s", targets: ["tcp://a:1", "ftp://b"] }, socket: {} };
    const error = await faultsOf(config);
    using file = configFile(JSON.stringify(config));
    const ofFile = await faultsOf(file.path);
    expect(error.faults).toHaveLength(3);
    expect(error.faults.map(({ path, message }) => [path, message])).toEqual(
      ofFile.faults.map(({ path, message }) => [path, message]),
    );
    expect(error.message.split("\n")[0]).toMatch(/^probes\.interval: must be a duration/);
    expect(ofFile.message).toContain(`${file.path}:1:`);
  });

  test("that holds no plain data is a fault", async () => {
    const circle: Record<string, unknown> = {};
    circle["probes"] = circle;
    for (const config of [circle, { collection: { interval: 1n } }])
      expect((await faultsOf(config)).message).toMatch(/^must be an object of plain values: /);
    expect((await faultsOf([])).message).toBe("must be a map of keys");
    expect((await faultsOf(null)).faults).toHaveLength(1);
  });

  test("has references to the environment as in a file", async () => {
    const config = { probes: { targets: ["tcp://${env:DB}:1"] } };
    expect((await loadOwn(config, { DB: "db" })).config.probes.targets[0]?.name).toBe("tcp://db:1");
    expect((await faultsOf(config)).faults[0]?.path).toBe("probes.targets[0]");
  });
});

describe("what is the application's own", () => {
  test.each([
    ["election", { backend: "kubernetes" }, "remove it"],
    ["export", { prometheus: {} }, "give producer to a reader"],
    ["export", { otlp: { endpoint: "http://127.0.0.1:4318" } }, "give producer to a reader"],
    ["resource", { attributes: { "service.name": "a" } }, "set it on its MeterProvider"],
  ])("%s is refused with a remedy", async (key, value, remedy) => {
    const [fault, ...others] = (await faultsOf({ [key]: value })).faults;
    expect(others).toEqual([]);
    expect(fault).toMatchObject({ path: key, message: expect.stringContaining(remedy) as string });
    using file = configFile(JSON.stringify({ host: "off", [key]: value }));
    expect((await faultsOf(file.path)).faults[0]).toMatchObject({ file: file.path, line: 1, column: 15, path: key });
  });

  test("the variables of its exporters and its resource are nobody else's; the interval is", async () => {
    const { config, notes, logLevel } = await loadOwn(
      {},
      {
        OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318",
        OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
        OTEL_SERVICE_NAME: "shop",
        OTEL_ENTITIES: "service{service.name=shop}",
        OTEL_METRICS_EXPORTER: "otlp,prometheus,console",
        OTEL_SDK_DISABLED: "true",
        OTEL_LOG_LEVEL: "debug",
        OTEL_CONFIG_FILE: "/nonexistent.yaml",
        OTEL_EXPERIMENTAL_CONFIG_FILE: "/nonexistent.yaml",
        OTEL_METRIC_EXPORT_INTERVAL: "2000",
      },
    );
    expect({ ...config, collection: undefined }).toEqual({
      ...(await loadOwn({}, {})).config,
      collection: undefined,
    });
    expect(config.export).toEqual({ otlp: [], prometheus: undefined, file: undefined, console: undefined });
    expect(config.resource.attributes).toEqual({});
    expect(config.collection.intervalMs).toBe(2000);
    expect(logLevel).toBeUndefined();
    expect(notes).toEqual([]);
  });
});

test("a file that cannot be read says who names it", async () => {
  expect((await faultsOf("/nonexistent.yaml")).message).toMatch(
    /^\/nonexistent\.yaml:1:1: cannot read: .* \(named by the application\)$/,
  );
});
