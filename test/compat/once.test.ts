import { describe, expect, test } from "vitest";
import { catalogue } from "../../src/metrics/catalogue.ts";
import { compatMetrics } from "../../src/metrics/compat.ts";
import { configFile, sockscope } from "../kit/agent.ts";
import { expectAsDocumented } from "../kit/documented.ts";
import { parseExposition } from "../kit/exposition.ts";
import { openFlow, startEcho } from "../kit/loopback.ts";
import { decodeJsonRequest, flattenPoints } from "../kit/otlp-receiver.ts";

const names = Object.keys(compatMetrics);

const once = async (text: string, format: "prometheus" | "otlp-json"): Promise<string> => {
  using file = configFile(text);
  const { code, stdout } = await sockscope(["once", "-c", file.path, "--format", format, "--for", "200ms"]);
  expect(code).toBe(0);
  return stdout;
};

describe.skipIf(process.platform !== "linux")("sockscope once", () => {
  test("has every series of all five tools, as docs/METRICS.md has them", async () => {
    await using echo = await startEcho();
    await using flow = await openFlow(echo.port, 2000);
    expect(flow.localPort).toBeGreaterThan(0);
    const text = `
compat: [datakit, telegraf, ss_exporter, sockstat, connection_status]
probes: { targets: [ "tcp://127.0.0.1:${echo.port}", { target: "udp://127.0.0.1:${echo.port}", udp_silence: 1s } ] }
`;
    const points = flattenPoints([decodeJsonRequest(Buffer.from(await once(text, "otlp-json")))]);
    const given = points.filter(({ name }) => names.includes(name));
    expect([...new Set(given.map(({ name }) => name))].toSorted()).toEqual(names.toSorted());
    expectAsDocumented(given, { groupBy: "endpoint" });
    const page = parseExposition(await once(text, "prometheus"));
    for (const name of names) expect([name, page.types.has(name.replaceAll(".", "_"))]).toEqual([name, true]);
  });

  test("has none of them without compat", async () => {
    const { types } = parseExposition(await once("{}", "prometheus"));
    const shown = [...types.keys()];
    expect(shown.length).toBeGreaterThan(10);
    expect(names.filter((name) => shown.includes(name.replaceAll(".", "_")))).toEqual([]);
    expect(Object.keys(catalogue)).toEqual(expect.arrayContaining(names));
  });
});
