import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startCompatAgent } from "../kit/compat.ts";
import { expectAsDocumented } from "../kit/documented.ts";
import type { Exposition } from "../kit/exposition.ts";
import { closedPort, startEcho } from "../kit/loopback.ts";
import { until } from "../kit/until.ts";

/** What DataKit's and connection-status-exporter's own documents say, of real listeners and of what is not there. */
describe("probes", () => {
  const stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "sockscope-compat-"));
  const listening = join(folder, "app.sock");
  const ports = { echo: 0, refused: 0, answering: 0, silent: 0, closedUdp: 0 };
  let agent: Awaited<ReturnType<typeof startCompatAgent>>;
  let page: Exposition;

  const bindUdp = async (answers: boolean): Promise<number> => {
    const socket = createSocket("udp4");
    if (answers) socket.on("message", (message, { port, address }) => socket.send(message, port, address));
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    stack.defer(() => void socket.close());
    return socket.address().port;
  };

  const configuration = (tools: string): string => {
    const { echo, refused, answering, silent, closedUdp } = ports;
    return `
sockets: off
host: off
compat: ${tools}
probes:
  interval: 5s
  timeout: 5s
  targets:
    - { name: literal, target: "tcp://127.0.0.1:${echo}", attributes: { team: edge, proto: other, dest_port: other } }
    - { name: named, target: "tcp://localhost:${echo}" }
    - { name: own host, target: "tcp4://127.0.0.1:${echo}", attributes: { host: mine } }
    - { name: refused, target: "tcp://127.0.0.1:${refused}" }
    - { name: unresolved, target: "tcp://nowhere.invalid:80" }
    - { name: agent, target: { protocol: tcp, host: 127.0.0.1, port: ${echo} }, interface: none0, attributes: { of: agent } }
    - { name: answering, target: "udp://127.0.0.1:${answering}", udp_silence: 1s }
    - { name: silent, target: "udp://127.0.0.1:${silent}", udp_silence: 1s }
    - { name: closed, target: "udp4://127.0.0.1:${closedUdp}", udp_silence: 1s }
    - { name: app, target: "unix://${listening}" }
    - { name: gone, target: "unix://${join(folder, "gone.sock")}", compat: { port: 1 } }
    - { name: again, target: "tcp://127.0.0.1:${echo}", send: x, expect: x, compat: { name: db, host: "[::1]", port: 80, protocol: ip4 } }
`;
  };

  beforeAll(async () => {
    const echo = stack.use(await startEcho());
    const server = createServer().listen(listening);
    await once(server, "listening");
    stack.defer(() => void server.close());
    ports.echo = echo.port;
    ports.refused = await closedPort();
    ports.answering = await bindUdp(true);
    ports.silent = await bindUdp(false);
    const taken = createSocket("udp4").bind(0, "127.0.0.1");
    await once(taken, "listening");
    ports.closedUdp = taken.address().port;
    taken.close();
    agent = stack.use(await startCompatAgent(configuration("[datakit, connection_status]")));
    page = await agent.pageWhen(
      "all targets have run",
      ({ find }) => find("connection_status_up").length === 11 && find("tcp_success").length === 6,
    );
  });
  afterAll(async () => {
    await stack.disposeAsync();
    rmSync(folder, { recursive: true });
  });

  describe("as DataKit's document says", () => {
    test("tcp.success is 1 or -1, with the documented tags and the target's own", () => {
      expect(page.types.get("tcp_success")).toBe("gauge");
      const echo = String(ports.echo);
      const tcp = { dest_host: "127.0.0.1", dest_port: echo, proto: "tcp" };
      const success = page.find("tcp_success").map(({ labels, value }) => [labels, value]);
      expect(success).toHaveLength(6);
      expect(success).toEqual(
        expect.arrayContaining([
          [tcp, 1],
          [{ ...tcp, team: "edge" }, 1],
          [{ ...tcp, dest_host: "localhost" }, 1],
          [{ ...tcp, host: "mine" }, 1],
          [{ ...tcp, dest_port: String(ports.refused) }, -1],
          [{ dest_host: "nowhere.invalid", dest_port: "80", proto: "tcp", host: "nowhere.invalid" }, -1],
        ]),
      );
    });

    test("response times are whole microseconds, with DNS not less, and absent after a failure", () => {
      for (const name of ["tcp_response_time", "tcp_response_time_with_dns"]) {
        expect(page.types.get(name)).toBe("gauge");
        expect(page.find(name)).toHaveLength(4);
        for (const { value } of page.find(name)) {
          expect(Number.isInteger(value)).toBe(true);
          expect(value).toBeGreaterThan(0);
          expect(value).toBeLessThan(5_000_000);
        }
      }
      const literal = { dest_host: "127.0.0.1", team: "edge" };
      expect(page.value("tcp_response_time_with_dns", literal)).toBe(page.value("tcp_response_time", literal));
      const named = { dest_host: "localhost" };
      expect(page.value("tcp_response_time_with_dns", named)).toBeGreaterThan(
        page.value("tcp_response_time", named) ?? Infinity,
      );
    });

    test("udp.success: no refusal is success, also without an answer", () => {
      expect(page.types.get("udp_success")).toBe("gauge");
      const udp = { dest_host: "127.0.0.1", proto: "udp" };
      expect(page.find("udp_success").map(({ labels, value }) => [labels, value])).toEqual([
        [{ ...udp, dest_port: String(ports.answering) }, 1],
        [{ ...udp, dest_port: String(ports.silent) }, 1],
        [{ ...udp, dest_port: String(ports.closedUdp) }, -1],
      ]);
    });

    test("by OTLP the names have dots and the times are in microseconds", async () => {
      await until("the points", () => agent.points("udp.success").length === 3);
      const units = ["tcp.response_time", "tcp.response_time_with_dns", "tcp.success", "udp.success"].map((name) => [
        name,
        new Set(agent.points(name).map(({ unit, kind }) => `${kind} ${unit}`)),
      ]);
      expect(units).toEqual([
        ["tcp.response_time", new Set(["gauge us"])],
        ["tcp.response_time_with_dns", new Set(["gauge us"])],
        ["tcp.success", new Set(["gauge "])],
        ["udp.success", new Set(["gauge "])],
      ]);
    });
  });

  describe("as connection-status-exporter's document says", () => {
    test("connection_status_up is 1 or 0 with its four labels", () => {
      expect(page.types.get("connection_status_up")).toBe("gauge");
      const echo = String(ports.echo);
      const at = (name: string, port: string | number, protocol: string, host = "127.0.0.1") => ({
        name,
        host,
        port: String(port),
        protocol,
      });
      const up = page.find("connection_status_up").map(({ labels, value }) => [labels, value]);
      expect(up).toEqual([
        [at("literal", echo, "tcp"), 1],
        [at("named", echo, "tcp", "localhost"), 1],
        [at("own host", echo, "tcp4"), 1],
        [at("refused", ports.refused, "tcp"), 0],
        [at("unresolved", 80, "tcp", "nowhere.invalid"), 0],
        [at("answering", ports.answering, "udp"), 1],
        [at("silent", ports.silent, "udp"), 1],
        [at("closed", ports.closedUdp, "udp4"), 0],
        [at("app", "", "unix", listening), 1],
        [at("gone", 1, "unix", join(folder, "gone.sock")), 0],
        [at("db", 80, "ip4", "[::1]"), 1],
      ]);
    });
  });

  test("what the agent could not test has no value", () => {
    expect(page.find("sockscope_probe_runs_total", { sockscope_probe_outcome: "not_run" })).not.toEqual([]);
    expect(page.find("tcp_success", { of: "agent" })).toEqual([]);
    expect(page.find("connection_status_up", { name: "agent" })).toEqual([]);
  });

  test("the points are as docs/METRICS.md has them", () => {
    const points = agent.receiver
      .points()
      .filter(({ name }) => /^(?:tcp\.|udp\.|connection_status)/.test(name) && !name.startsWith("sockscope"));
    expect(points.length).toBeGreaterThan(20);
    expectAsDocumented(points, { groupBy: "endpoint", targetAttributes: ["team", "of", "host"] });
  });

  test("a tool that a reload takes away ends its series once, and those of the other go on", async () => {
    await agent.reload(configuration("[connection_status]"));
    const ended = () => agent.receiver.points().filter(({ name, flags }) => name === "tcp.success" && flags === 1);
    await until("the ends", () => ended().length > 0);
    expect(ended()).toHaveLength(6);
    const without = await agent.pageWhen("no series of DataKit", ({ find }) => find("tcp_success").length === 0);
    expect(without.find("connection_status_up")).toHaveLength(11);
    expect(without.find("udp_success")).toEqual([]);
    expect(ended()).toHaveLength(6);
  });
});
