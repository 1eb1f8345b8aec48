import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { configFile, root, sockscope } from "../kit/agent.ts";
import { parseExposition } from "../kit/exposition.ts";
import { isRoot } from "../kit/net-namespace.ts";
import { enterOwnNamespace } from "../kit/own-namespace.ts";

/** `ss -in --packet`: Netid, Recv-Q, Send-Q, protocol:device, `*`. */
const readSs = () =>
  spawnSync("ss", ["-in", "--packet"], { encoding: "utf8" })
    .stdout.split("\n")
    .slice(1)
    .filter((line) => line.trim() !== "")
    .map((line) => {
      const [, recv = "", , local = ""] = line.trim().split(/\s+/);
      const [protocol = "", device = ""] = local.split(":");
      return { protocol, device, recv: Number(recv) };
    });

describe.skipIf(!isRoot)("telegraf in a namespace of its own", () => {
  let leave: () => void;
  beforeAll(() => {
    leave = enterOwnNamespace();
  });
  afterAll(() => leave());

  test("packet sockets have their protocol and device as ss has them", async () => {
    const folder = mkdtempSync(join(tmpdir(), "sockscope-compat-"));
    const child = spawn("python3", [join(root, "test/system/families-sockets.py"), folder], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    try {
      await once(child.stdout, "data");
      const shown = async (source: string) => {
        using file = configFile(
          `compat: [{ telegraf: { protocols: [packet] } }]\nsockets: { protocols: [packet], source: ${source} }`,
        );
        const { stdout } = await sockscope(["once", "-c", file.path, "--format", "prometheus", "--for", "50ms"]);
        return parseExposition(stdout).find("socketstat_recv_q");
      };
      const seen = readSs();
      const labels = (protocol: string, device: string) => ({
        proto: "packet",
        local_addr: protocol,
        local_port: device,
        remote_addr: "*",
        remote_port: "*",
        host: hostname(),
      });
      expect(seen.map(({ protocol, device }) => [protocol, device])).toEqual([
        ["*", "lo"],
        ["[0]", "*"],
      ]);
      expect((await shown("netlink")).map((sample) => [sample.labels, sample.value])).toEqual(
        seen.map(({ protocol, device, recv }) => [labels(protocol, device), recv]),
      );
      // The text of ss has no number of the device.
      expect((await shown("ss")).map((sample) => sample.labels)).toEqual([labels("*", "*"), labels("[0]", "*")]);
    } finally {
      child.kill();
      rmSync(folder, { recursive: true });
    }
  });
});
