import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cleanEnvironment, configFile, root, sockscope } from "../kit/agent.ts";
import { parseExposition } from "../kit/exposition.ts";
import { enterOwnNamespace } from "../kit/own-namespace.ts";
import { scratchFolder } from "../kit/program.ts";
import { bindUnix } from "../kit/raw-socket.ts";
import { canRun, realParts } from "../kit/real-parts.ts";

type Verdict = 0 | 1;

/** A socket of the exporter's file, what dialling it gives, and what sockscope says; `why` where that is another. */
type Row = {
  readonly of: string;
  readonly protocol: string;
  readonly host: string;
  readonly port: number;
  readonly dial: Verdict;
  readonly ours: Verdict;
  readonly why?: string;
};

const nothingSent = "The exporter sends nothing and hears of no refusal.";
const noNetwork = "Go knows no network of that name without a protocol: always 0. Here it is an ICMP echo.";
const withPort = "The exporter dials PATH:PORT, which is not there.";
const noBrackets = "The exporter cannot dial an IPv6 address without brackets.";

type Places = Readonly<Record<"both" | "four" | "six" | "closed" | "dropped" | "udp" | "udp6" | "closedUdp", number>>;

/** A name of 127.0.0.1 and ::1, and one of nothing. */
const named = "both.test";
const missing = "nowhere.invalid";

const tcpRows = ({ both, four, six, closed, dropped }: Places): Row[] => {
  const up = { dial: 1, ours: 1 } as const;
  const down = { dial: 0, ours: 0 } as const;
  return [
    { of: "a listener", protocol: "tcp", host: "127.0.0.1", port: four, ...up },
    { of: "a listener of both families", protocol: "tcp", host: "[::1]", port: both, ...up },
    { of: "a name whose other address is refused", protocol: "tcp", host: named, port: four, ...up },
    { of: "a name whose other address is refused, IPv6", protocol: "tcp", host: named, port: six, ...up },
    { of: "a closed port", protocol: "tcp", host: "127.0.0.1", port: closed, ...down },
    { of: "a missing name", protocol: "tcp", host: missing, port: four, ...down },
    { of: "silence", protocol: "tcp", host: "127.0.0.1", port: dropped, ...down },
    { of: "no brackets", protocol: "tcp", host: "::1", port: six, dial: 0, ours: 1, why: noBrackets },
    { of: "a listener", protocol: "tcp4", host: "127.0.0.1", port: four, ...up },
    { of: "a name of a listener", protocol: "tcp4", host: named, port: four, ...up },
    { of: "a name of a listener of the other family", protocol: "tcp4", host: named, port: six, ...down },
    { of: "a missing name", protocol: "tcp4", host: missing, port: four, ...down },
    { of: "a listener", protocol: "tcp6", host: "[::1]", port: six, ...up },
    { of: "a name of a listener", protocol: "tcp6", host: named, port: six, ...up },
    { of: "a name of a listener of the other family", protocol: "tcp6", host: named, port: four, ...down },
    { of: "a closed port", protocol: "tcp6", host: "[::1]", port: closed, ...down },
  ];
};

const udpRows = ({ udp, udp6, closedUdp, dropped }: Places): Row[] =>
  (
    [
      ["udp", "127.0.0.1", udp],
      ["udp4", "127.0.0.1", udp],
      ["udp6", "[::1]", udp6],
    ] as const
  ).flatMap(([protocol, host, port]): Row[] => [
    { of: "a socket that says nothing", protocol, host, port, dial: 1, ours: 1 },
    { of: "a closed port", protocol, host, port: closedUdp, dial: 1, ours: 0, why: nothingSent },
    { of: "silence", protocol, host, port: dropped, dial: 1, ours: 1 },
    { of: "a missing name", protocol, host: missing, port, dial: 0, ours: 0 },
  ]);

const ipRows: Row[] = (
  [
    ["ip", "127.0.0.1"],
    ["ip4", "127.0.0.1"],
    ["ip6", "[::1]"],
  ] as const
).flatMap(([protocol, host]): Row[] => [
  { of: "a host that answers", protocol, host, port: 1, dial: 0, ours: 1, why: noNetwork },
  { of: "a missing name", protocol, host: missing, port: 1, dial: 0, ours: 0 },
]);

const unixTypes = { unix: "stream", unixgram: "dgram", unixpacket: "seqpacket" } as const;

const unixRows = (folder: string): Row[] =>
  Object.entries(unixTypes).flatMap(([protocol, type], index, all): Row[] => {
    const other = all[(index + 1) % all.length]?.[1] ?? "";
    const row = { protocol, port: 1 };
    return [
      { of: "a socket", ...row, host: join(folder, type), dial: 0, ours: 1, why: withPort },
      { of: "a socket of another type", ...row, host: join(folder, other), dial: 0, ours: 0 },
      { of: "no socket", ...row, host: join(folder, "none"), dial: 0, ours: 0 },
      {
        of: "a path that happens to end with the port",
        ...row,
        host: join(folder, `${type}-at`),
        dial: 1,
        ours: 0,
        why: "Here the path is what the file says, and there is no socket.",
      },
      {
        of: "a socket of another type at a path with the port",
        ...row,
        host: join(folder, `${other}-at`),
        dial: 0,
        ours: 0,
      },
    ];
  });

const fileOf = (rows: readonly Row[]): string =>
  `sockets:\n${rows
    .map(({ of, protocol, host, port }) => `  - ${JSON.stringify({ name: of, host, port, protocol, timeout: 2 })}\n`)
    .join("")}`;

/** Runs a program for which `named` is in /etc/hosts. */
const runNaming = (program: string, args: readonly string[], input = ""): string => {
  using file = configFile(`127.0.0.1 ${named}\n::1 ${named}\n`);
  const { status, stdout, stderr } = spawnSync(
    "unshare",
    ["--mount", "sh", "-ec", 'mount --bind "$0" /etc/hosts\nexec "$@"', file.path, program, ...args],
    { input, encoding: "utf8", env: cleanEnvironment() },
  );
  if (status !== 0) throw new Error(stderr);
  return stdout;
};

/** Dials as the exporter does. */
const dialAll = (rows: readonly Row[]): { readonly up: Verdict; readonly error: string }[] => {
  const sockets = rows.map(({ host, port, protocol }) => ({ host, port, protocol, timeout: 2 }));
  return JSON.parse(runNaming(realParts.dial, [], JSON.stringify(sockets))) as { up: Verdict; error: string }[];
};

/**
 * Runs sockscope by the exporter's own file; once more where this machine was too busy for a run, which has no value
 * then.
 */
const probeAll = (rows: readonly Row[], tries = 5): (number | undefined)[] => {
  using file = configFile(fileOf(rows));
  const main = join(root, "src/main.ts");
  const page = parseExposition(runNaming(process.execPath, [main, "once", "-c", file.path, "--format", "prometheus"]));
  const busy = page.find("sockscope_probe_runs_total", { error_type: "agent_overloaded" });
  if (busy.some(({ value }) => value > 0) && tries > 1) return probeAll(rows, tries - 1);
  expect(page.find("connection_status_up")).toHaveLength(rows.length);
  return rows.map(({ of, protocol, host, port }) =>
    page.value("connection_status_up", { name: of, protocol, host, port: String(port) }),
  );
};

describe.skipIf(!canRun("dial"))("connection-status-exporter's dial beside sockscope", () => {
  const stack = new AsyncDisposableStack();
  let places: Places;
  let folder: string;

  const listen = async (host: string, ipv6Only = false): Promise<number> => {
    const server = createServer((socket) => void socket.destroy()).listen({ port: 0, host, ipv6Only });
    await once(server, "listening");
    stack.defer(() => void server.close());
    return (server.address() as AddressInfo).port;
  };

  const bindUdp = async (family: "udp4" | "udp6", host: string): Promise<number> => {
    const socket = createSocket(family).bind(0, host);
    await once(socket, "listening");
    stack.defer(() => void socket.close());
    return socket.address().port;
  };

  beforeAll(async () => {
    stack.defer(enterOwnNamespace());
    const dropped = 81;
    const drop = `nft add table inet dial
nft add chain inet dial input '{ type filter hook input priority 0; }'
nft add rule inet dial input meta l4proto '{ tcp, udp }' th dport ${dropped} drop`;
    const { status, stderr } = spawnSync("sh", ["-ec", drop], { encoding: "utf8" });
    if (status !== 0) throw new Error(stderr);
    places = {
      both: await listen("::"),
      four: await listen("127.0.0.1"),
      six: await listen("::1", true),
      udp: await bindUdp("udp4", "127.0.0.1"),
      udp6: await bindUdp("udp6", "::1"),
      closed: 82,
      closedUdp: 82,
      dropped,
    };
    folder = stack.use(scratchFolder()).path;
    for (const type of Object.values(unixTypes)) {
      const backlog = type === "dgram" ? undefined : 5;
      stack.use(bindUnix(join(folder, type), type, backlog));
      stack.use(bindUnix(join(folder, `${type}-at:1`), type, backlog));
    }
  });
  afterAll(() => stack.disposeAsync());

  test("the verdicts of all twelve protocols, and why some are not the same", { timeout: 60_000 }, () => {
    const rows = [...tcpRows(places), ...udpRows(places), ...ipRows, ...unixRows(folder)];
    expect(new Set(rows.map(({ protocol }) => protocol)).size).toBe(12);
    const dialled = dialAll(rows);
    const probed = probeAll(rows);
    expect(rows.map((row, at) => ({ ...row, dial: dialled[at]?.up, ours: probed[at] }))).toEqual(rows);
    for (const { of, protocol, dial, ours, why } of rows)
      expect([protocol, of, why === undefined]).toEqual([protocol, of, dial === ours]);
    // Equal for tcp, but for what the exporter cannot write down.
    const unequal = rows.filter(({ dial, ours }) => dial !== ours);
    expect(unequal.filter(({ protocol }) => protocol.startsWith("tcp")).map(({ of }) => of)).toEqual(["no brackets"]);
    const errors = rows.flatMap(({ protocol }, at) => (protocol.startsWith("ip") ? dialled[at]?.error : []));
    expect(new Set(errors)).toEqual(
      new Set(["ip", "ip4", "ip6"].map((name) => `dial ${name}: unknown network ${name}`)),
    );
  });

  test("what the exporter dials in vain each time is a fault here", async () => {
    const row = {
      of: "the other family",
      protocol: "tcp4",
      host: "[::1]",
      port: places.six,
      dial: 0,
      ours: 0,
    } as const;
    expect(dialAll([row]).map(({ up }) => up)).toEqual([0]);
    using file = configFile(fileOf([row]));
    const { code, stderr } = await sockscope(["check", "-c", file.path]);
    expect(code).toBe(2);
    expect(stderr).toContain("the exporter would have reported 0 each time");
  });
});
