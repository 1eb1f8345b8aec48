import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { mkdtempSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startCompatAgent } from "../kit/compat.ts";
import { expectAsDocumented } from "../kit/documented.ts";
import type { Exposition } from "../kit/exposition.ts";
import { until } from "../kit/until.ts";

const fields = ["bytes_acked", "bytes_received", "segs_out", "segs_in", "data_segs_out", "data_segs_in"] as const;

type Shown = { readonly tags: Readonly<Record<string, string>>; readonly values: Readonly<Record<string, number>> };

const atColon = (end: string): [string, string] => [
  end.slice(0, end.lastIndexOf(":")),
  end.slice(end.lastIndexOf(":") + 1),
];

/** What Telegraf makes of `ss -in --PROTO`; a field that ss leaves out is 0 there. */
const readSs = (proto: "tcp" | "udp"): Shown[] => {
  const { stdout } = spawnSync("ss", ["-in", `--${proto}`], { encoding: "utf8" });
  const shown: Shown[] = [];
  let socket: string[] = [];
  const take = (info: string): void => {
    const [recv = "", send = "", local = "", remote = ""] = proto === "tcp" ? socket.slice(1) : socket;
    const [localAddress, localPort] = atColon(local);
    const [remoteAddress, remotePort] = atColon(remote);
    const given = fields.map((field) => [field, Number(new RegExp(`(?:^|\\s)${field}:(\\d+)`).exec(info)?.[1] ?? 0)]);
    shown.push({
      tags: {
        proto,
        local_addr: localAddress,
        local_port: localPort,
        remote_addr: remoteAddress,
        remote_port: remotePort,
        ...(proto === "tcp" ? { state: socket[0] ?? "" } : {}),
      },
      values: { recv_q: Number(recv), send_q: Number(send), ...(proto === "tcp" ? Object.fromEntries(given) : {}) },
    });
  };
  for (const line of stdout.split("\n").slice(1)) {
    if (/^\s/.test(line)) take(line);
    else if (line !== "") {
      socket = line.trim().split(/\s+/);
      if (proto === "udp") take("");
    }
  }
  return shown;
};

const hasSs = process.platform === "linux" && spawnSync("ss", ["-V"]).status === 0;

/** What the document of Telegraf's socketstat says, compared with ss on sockets that rest. */
describe.skipIf(!hasSs)("telegraf", () => {
  const stack = new AsyncDisposableStack();
  const host = hostname();
  let agent: Awaited<ReturnType<typeof startCompatAgent>>;
  let page: Exposition;
  let ports: ReadonlySet<string>;

  const mine = (shown: readonly Shown[]): Shown[] =>
    shown.filter(({ tags }) => ports.has(tags["local_port"] ?? "") || ports.has(tags["remote_port"] ?? ""));

  const open = async (port: number, address: string): Promise<Socket> => {
    const socket = connect({ port, host: address, allowHalfOpen: true });
    await once(socket, "connect");
    stack.defer(() => void socket.destroy());
    return socket;
  };

  const openUdp = async (family: "udp4" | "udp6", address: string | undefined): Promise<number> => {
    const socket = createSocket(family);
    stack.defer(() => void socket.close());
    if (address === undefined) {
      socket.bind(0);
      await once(socket, "listening");
    } else {
      socket.connect(9, address);
      await once(socket, "connect");
    }
    return socket.address().port;
  };

  beforeAll(async () => {
    const accepted: Socket[] = [];
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      accepted.push(socket);
      stack.defer(() => void socket.destroy());
    }).listen(0, "::");
    await once(server, "listening");
    stack.defer(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const [one, other, third] = [await open(port, "127.0.0.1"), await open(port, "::1"), await open(port, "127.0.0.1")];
    await until("all are accepted", () => accepted.length === 3);
    // Unread at the other end, since that reads nothing.
    one.write("x".repeat(1000));
    accepted[1]?.write("y".repeat(50));
    other.resume();
    third.end();
    await until("the third is half closed", () =>
      readSs("tcp").some(({ tags }) => tags["state"] === "FIN-WAIT-2" && tags["remote_port"] === String(port)),
    );
    const udp = [await openUdp("udp4", "127.0.0.1"), await openUdp("udp6", "::1"), await openUdp("udp4", undefined)];
    ports = new Set([port, ...udp].map(String));
    agent = stack.use(
      await startCompatAgent(
        `compat: [telegraf]\nsockets: { select: { include: [{ ports: [${[...ports].join(", ")}] }] } }`,
      ),
    );
    page = await agent.pageWhen("the sockets", ({ find }) => find("socketstat_recv_q").length >= 8);
  });
  afterAll(() => stack.disposeAsync());

  test("the sockets are those that ss shows, with its spelling, and nothing else", () => {
    const tags = page.find("socketstat_recv_q").map(({ labels }) => labels);
    const shown = mine([...readSs("tcp"), ...readSs("udp")]);
    expect(shown).toHaveLength(8);
    expect(tags).toHaveLength(8);
    expect(tags).toEqual(expect.arrayContaining(shown.map((each) => ({ ...each.tags, host }))));
    expect(new Set(tags.map(({ state }) => state))).toEqual(new Set(["ESTAB", "FIN-WAIT-2", "CLOSE-WAIT", undefined]));
    expect(new Set(tags.map(({ local_addr }) => local_addr))).toEqual(
      new Set(["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"]),
    );
  });

  test("every field has the value of ss, 0 where ss leaves it out, and is absent where the protocol has none", () => {
    for (const { tags, values } of mine([...readSs("tcp"), ...readSs("udp")])) {
      const series = { ...tags, host };
      const given = Object.fromEntries(
        ["recv_q", "send_q", ...fields].flatMap((field) => {
          const value = page.value(`socketstat_${field}`, series);
          return value === undefined ? [] : [[field, value]];
        }),
      );
      expect(given).toEqual(values);
    }
    // The second is a FIN that is not read.
    const queued = page.find("socketstat_recv_q").filter(({ value }) => value > 0);
    expect(new Set(queued.map(({ value }) => value))).toEqual(new Set([1, 1000]));
    expect(page.find("socketstat_bytes_received").some(({ value }) => value === 50)).toBe(true);
  });

  test("the types and units are the documented ones", async () => {
    for (const field of ["recv_q", "send_q", ...fields]) expect(page.types.get(`socketstat_${field}`)).toBe("gauge");
    await until("the points", () => agent.points("socketstat_recv_q").length >= 8);
    const points = agent.receiver.points().filter(({ name }) => name.startsWith("socketstat_"));
    expectAsDocumented(points, { groupBy: "endpoint" });
    const units = new Map(points.map(({ name, unit }) => [name.replace("socketstat_", ""), unit]));
    const bytes = ["recv_q", "send_q", "bytes_acked", "bytes_received"].map((field) => [field, "By"]);
    const counts = ["segs_out", "segs_in", "data_segs_out", "data_segs_in"].map((field) => [field, "{segment}"]);
    expect(Object.fromEntries(units)).toEqual(Object.fromEntries([...bytes, ...counts]));
  });

  test.each(["netlink", "ss"])(
    "by %s, a unix socket has its path and inode, and that of the other one",
    async (source) => {
      const folder = mkdtempSync(join(tmpdir(), "sockscope-compat-"));
      stack.defer(() => rmSync(folder, { recursive: true }));
      const path = join(folder, "a b.sock");
      const server = createServer().listen(path);
      await once(server, "listening");
      stack.defer(() => void server.close());
      const client = connect(path);
      const [accepted] = (await once(server, "connection")) as [Socket];
      stack.defer(() => {
        client.destroy();
        accepted.destroy();
      });
      client.write("12345");
      accepted.pause();
      const text = `compat: [{ telegraf: { protocols: [unix] } }]\nsockets: { protocols: [unix], source: ${source} }`;
      const other = stack.use(await startCompatAgent(text));
      const own = { proto: "unix", local_addr: path };
      const shown = await other.pageWhen("the socket", ({ find }) => find("socketstat_send_q", own).length === 1);
      const { stdout } = spawnSync("ss", ["-in", "--unix"], { encoding: "utf8" });
      const [, inode, peerInode] = new RegExp(`ESTAB .* ${path} (\\d+) +\\* (\\d+)`).exec(stdout) ?? [];
      expect(shown.find("socketstat_recv_q", own).map(({ labels }) => labels)).toEqual([
        { ...own, local_port: inode, remote_addr: "*", remote_port: peerInode, host },
      ]);
      const back = { proto: "unix", local_addr: "*", local_port: peerInode ?? "", remote_port: inode ?? "" };
      expect(shown.find("socketstat_recv_q", back)).toHaveLength(1);
      expect(shown.find("socketstat_bytes_acked")).toEqual([]);
    },
  );
});
