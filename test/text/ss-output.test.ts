import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ssFormat } from "../../src/text/ss-info.ts";
import { createSsRecords } from "../../src/text/ss-records.ts";
import { readSs } from "../kit/ss-text.ts";

// What these releases print of the same sockets of one namespace, on Linux 6.18.
const fixture = (name: string): string => readFileSync(new URL(`../fixtures/ss/${name}.txt`, import.meta.url), "utf8");
const releases = {
  "3.12": "ss utility, iproute2-ss131122",
  "4.17": "ss utility, iproute2-ss180608",
  "5.5": "ss utility, iproute2-ss200127",
  "6.6": "ss utility, iproute2-6.6.0, libbpf 1.1.2",
  "7.1": "ss utility, iproute2-7.1.0",
} as const;
type Release = keyof typeof releases;
const old = Object.keys(releases).slice(0, -1) as Release[];

const read = (release: Release, protocol: "tcp" | "udp" | "unix" | "raw", suffix = "") =>
  readSs(fixture(`${release}.${protocol}${suffix}`), {
    protocol,
    memory: true,
    format: ssFormat(releases[release], "6.18.44"),
  });

describe("the same sockets by another release", () => {
  const now = { tcp: read("7.1", "tcp"), udp: read("7.1", "udp"), unix: read("7.1", "unix") };

  test.each(old)("%s: TCP but for the fields that it does not know", (release) => {
    const { rows, skipped } = read(release, "tcp");
    expect(skipped).toBe(0);
    const bare = (all: typeof rows) => all.map(({ info: _info, drops: _drops, ...rest }) => rest);
    expect(bare(rows)).toEqual(bare(now.tcp.rows));
    // What changes from one run to the next, and rates, which old ones round.
    const moving = /^last_|rate$|^busy_time|_limited$/;
    for (const [index, { info }] of rows.entries()) {
      const steady = Object.entries(info).filter(([field]) => !moving.test(field) && field !== "snd_ssthresh");
      expect(now.tcp.rows[index]?.info).toMatchObject(Object.fromEntries(steady));
      const rate = now.tcp.rows[index]?.info.delivery_rate ?? 0;
      if (rate > 0 && info.delivery_rate !== undefined) expect(info.delivery_rate / rate).toBeCloseTo(1, 3);
    }
  });

  test.each(old)("%s: UDP and unix", (release) => {
    for (const protocol of ["udp", "unix"] as const) {
      const { rows, skipped } = read(release, protocol);
      expect(skipped).toBe(0);
      const bare = (all: typeof rows) =>
        all.map(({ drops, ...rest }) => (release === "3.12" ? rest : { ...rest, drops }));
      expect(bare(rows)).toEqual(bare(now[protocol].rows));
      if (release === "3.12") for (const { drops } of rows) expect(drops).toBeNaN();
    }
  });

  test("one line a socket is the same as two", () => {
    const line = read("6.6", "tcp", "-oneline").rows;
    const two = read("6.6", "tcp").rows;
    const steady = (rows: typeof line) =>
      rows.map(({ info: { last_data_sent: _a, last_data_recv: _b, last_ack_recv: _c, ...info }, ...rest }) => ({
        ...rest,
        info,
      }));
    expect(steady(line)).toEqual(steady(two));
  });

  test.each(Object.keys(releases) as Release[])("%s: raw comes from /proc/net here, which is said", (release) => {
    expect(read(release, "raw")).toMatchObject({ rows: [], skipped: 0, from_proc: 2 });
  });

  test("what is in them", () => {
    const of = (port: number) => now.tcp.rows.filter(({ local }) => local.endsWith(` ${port}`));
    expect(of(8002)).toMatchObject([
      { family: 2, state: 10, local: "127.0.0.1 8002", peer: "0.0.0.0 0", rqueue: 1, wqueue: 3, drops: 0, full: 1 },
      { family: 2, state: 8, rqueue: 1, wqueue: 0, inode: 0, full: 1, congestion: "bbr", info: { bytes_received: 1 } },
    ]);
    expect(of(8001).map(({ family, state, local }) => [family, state, local])).toContainEqual([10, 10, ":: 8001"]);
    expect(now.tcp.rows.filter(({ full }) => full === 0).map(({ state }) => state)).toEqual([5, 5, 5]);
    expect(now.tcp.rows.find(({ info }) => info.bytes_acked === 5001)?.info).toMatchObject({
      rtt: 27,
      rttvar: 15,
      min_rtt: 6,
      rto: 204_000,
      snd_mss: 53_760,
      snd_wscale: 10,
      bytes_retrans: 0,
      total_retrans: 0,
      bytes_received: 0,
      delivery_rate_app_limited: 1,
      state: 1,
    });
    expect(new Set(now.unix.rows.map(({ name }) => name))).toEqual(
      new Set(["/tmp/ns/a b 5 * 0 c", "/tmp/ns/d", "@abs tract", undefined]),
    );
    expect(now.udp.rows.find(({ local }) => local === "127.0.0.1 9000")?.drops).toBeGreaterThan(0);
    expect(now.udp.rows.find(({ local }) => local === "0.0.0.0 9001")?.uid).toBe(1000);
  });
});

describe("what is left out", () => {
  const line =
    "ESTAB 0 0 10.0.0.1:80 10.0.0.2:5000 ino:7 sk:5 <->\n\t skmem:(r0,rb1,t0,tb1,f0,w0,o0,bl0,d3) cubic rtt:1.5/0.75 cwnd:10\n";
  const info = (answer: string, kernel: string) =>
    readSs(line, { format: ssFormat(answer, kernel) }).rows[0]?.info ?? {};

  test("is 0 where both that ss and that kernel know the field, else absent", () => {
    expect(info("iproute2-6.1.0", "6.18.1")).toMatchObject({
      bytes_acked: 0,
      bytes_sent: 0,
      snd_wnd: 0,
      reordering: 3,
    });
    expect(info("iproute2-6.1.0", "6.18.1")).not.toHaveProperty("rcv_wnd");
    expect(info("iproute2-6.1.0", "4.4.0")).toMatchObject({ bytes_acked: 0, segs_in: 0, total_retrans: 0 });
    expect(info("iproute2-6.1.0", "4.4.0")).not.toHaveProperty("bytes_sent");
    expect(info("iproute2-ss131122", "6.18.1")).not.toHaveProperty("bytes_acked");
    expect(info("iproute2-ss131122", "6.18.1")).toMatchObject({ total_retrans: 0, lost: 0 });
    expect(info("something else", "6.18.1")).not.toHaveProperty("bytes_acked");
  });

  test("has more than one meaning for some fields, and they are absent", () => {
    for (const field of ["rto", "snd_ssthresh", "min_rtt", "pacing_rate", "max_pacing_rate", "options"])
      expect(info("iproute2-7.1.0", "6.18.1")).not.toHaveProperty(field);
  });

  test("a socket without information has none, and is not full", () => {
    const { rows } = readSs("SYN-RECV 0 0 10.0.0.1:80 10.0.0.2:5000 timer:(on,1sec,0) ino:0 sk:5\n");
    expect(rows).toMatchObject([{ state: 3, full: 0, info: {}, drops: Number.NaN }]);
  });
});

// Composed from tcp_stats_print() of iproute2 7.1, since a test cannot have a connection with all of it.
test("every word of a connection in trouble", () => {
  const { rows } = readSs(
    'ESTAB      12     34     [fe80::1%eth0]:80     [fe80::2]:5000  timer:(on,204ms,2) users:(("a ino:5",pid=1,fd=2)) uid:33 ino:77 sk:1f4 fwmark:0x1 cgroup:/a ino:9 skmem:(r1,d9) b <->\n' +
      "\t skmem:(r0,rb131072,t0,tb87040,f0,w0,o0,bl0,d4) ts usec_ts sack ecn ecnseen fastopen dctcp wscale:7,9 rto:1.5e+06 " +
      "backoff:3 rtt:20.5/1.25 ato:40 mss:1448 pmtu:1500 rcvmss:536 advmss:1448 cwnd:10 ssthresh:7 bytes_sent:18446744073709551615 " +
      "bytes_retrans:2 bytes_acked:3 bytes_received:4 segs_out:5 segs_in:6 data_segs_out:7 data_segs_in:8 " +
      "dctcp:(ce_state:0,alpha:1,ab_ecn:2,ab_tot:3) bbr:(bw:8bps,mrtt:0.1) send 5650731bps lastsnd:11 lastrcv:12 lastack:13 " +
      "pacing_rate 800bps/1600bps delivery_rate 12.3Mbps delivered:14 delivered_ce:15 app_limited busy:16ms " +
      "rwnd_limited:8ms(50.0%) sndbuf_limited:4ms(25.0%) unacked:17 retrans:18/19 lost:20 sacked:21 dsack_dups:22 fackets:1 " +
      "reordering:23 reord_seen:24 rcv_rtt:25.5 rcv_space:26 rcv_ssthresh:27 notsent:28 minrtt:0.029 rcv_ooopack:30 " +
      "snd_wnd:31 rcv_wnd:32 rehash:33 tcp-ulp-tls version: 1.3 cipher: aes-gcm-128 rxconf: sw txconf: none\n",
  );
  expect(rows).toMatchObject([
    {
      family: 10,
      local: "fe80::1 80",
      peer: "fe80::2 5000",
      rqueue: 12,
      wqueue: 34,
      uid: 33,
      inode: 77,
      cookie: 0x1f4,
      drops: 4,
      congestion: "dctcp",
    },
  ]);
  expect(rows[0]?.info).toEqual({
    state: 1,
    backoff: 3,
    snd_wscale: 7,
    rcv_wscale: 9,
    delivery_rate_app_limited: 1,
    rto: 1.5e9,
    ato: 40_000,
    snd_mss: 1448,
    rcv_mss: 536,
    unacked: 17,
    sacked: 21,
    lost: 20,
    retrans: 18,
    last_data_sent: 11,
    last_data_recv: 12,
    last_ack_recv: 13,
    pmtu: 1500,
    rcv_ssthresh: 27,
    rtt: 20_500,
    rttvar: 1250,
    snd_ssthresh: 7,
    snd_cwnd: 10,
    advmss: 1448,
    reordering: 23,
    rcv_rtt: 25_500,
    rcv_space: 26,
    total_retrans: 19,
    pacing_rate: 100,
    max_pacing_rate: 200,
    bytes_acked: 3,
    bytes_received: 4,
    segs_out: 5,
    segs_in: 6,
    notsent_bytes: 28,
    min_rtt: 29,
    data_segs_in: 8,
    data_segs_out: 7,
    delivery_rate: 1_537_500,
    busy_time: 16_000,
    rwnd_limited: 8000,
    sndbuf_limited: 4000,
    delivered: 14,
    delivered_ce: 15,
    bytes_sent: 2 ** 64,
    bytes_retrans: 2,
    dsack_dups: 22,
    reord_seen: 24,
    rcv_ooopack: 30,
    snd_wnd: 31,
    rcv_wnd: 32,
    rehash: 33,
  });
});

// Composed: the shapes of addresses and columns of all versions.
describe("columns", () => {
  const ends = (line: string, protocol: "tcp" | "udp" | "raw" = "tcp") => {
    const { rows, skipped } = readSs(`${line}\n`, { protocol });
    return skipped > 0
      ? "skipped"
      : rows.map(({ state, local, peer, rqueue }) => `${state} ${local} ${peer} ${rqueue}`)[0];
  };
  test.each([
    ["tcp   ESTAB 0 0 10.0.0.1:22 10.0.0.2:5000", "1 10.0.0.1 22 10.0.0.2 5000 0"],
    ["ESTAB 0 0 ::1:22 ::1:5000", "1 ::1 22 ::1 5000 0"],
    ["ESTAB 0 0 ::ffff:10.0.0.1:22 ::ffff:10.0.0.2:5000", "1 10.0.0.1 22 10.0.0.2 5000 0"],
    ["LISTEN 0 128 :::22 :::*", "10 :: 22 :: 0 0"],
    ["LISTEN 0 128 127.0.0.53%lo:53 0.0.0.0:*", "10 127.0.0.53 53 0.0.0.0 0 0"],
    ["LISTEN 0 128 [fe80::1]%eth0:546 [::]:*", "10 fe80::1 546 :: 0 0"],
    ["LISTEN 0 128 *%eth0:67 *:*", "10 :: 67 :: 0 0"],
    ["CLOSE-WAIT1 0 10.0.0.1:22 10.0.0.2:5000", "8 10.0.0.1 22 10.0.0.2 5000 1"],
    ["FIN-WAIT-11 0 10.0.0.1:22 10.0.0.2:5000", "4 10.0.0.1 22 10.0.0.2 5000 1"],
    ["FIN-WAIT-2123 0 10.0.0.1:22 10.0.0.2:5000", "5 10.0.0.1 22 10.0.0.2 5000 123"],
    ["tcpCLOSE-WAIT1 0 10.0.0.1:22 10.0.0.2:5000", "8 10.0.0.1 22 10.0.0.2 5000 1"],
    ["ESTAB 0 0 [::1]:54321[::1]:443", "1 ::1 54321 ::1 443 0"],
    ["ESTAB 0 0 10.0.0.1:54321192.168.100.100:443", "1 10.0.0.1 54321 192.168.100.100 443 0"],
    ["0 0 10.0.0.1:22 10.0.0.2:5000", "1 10.0.0.1 22 10.0.0.2 5000 0"],
  ])("%s", (line, expected) => {
    expect(ends(line)).toBe(expected);
  });
  test("a row without a state is an unconnected one of UDP", () => {
    expect(ends("5 0 127.0.0.1:53 *:*", "udp")).toBe("7 127.0.0.1 53 0.0.0.0 0 5");
  });
  test.each([
    "ESTAB 0 0 10.0.0.1:443192.168.1.1:443", // 443 and 192, or 4431 and 92
    "ESTAB 0 0 10.0.0.1:22",
    "ESTAB 0 0 10.0.0.1:70000 10.0.0.2:1",
    "ESTAB 0 0 10.0.0.256:1 10.0.0.2:1",
    "ESTAB 0 0 [::1]:1 10.0.0.2:1",
    "ESTAB x 0 10.0.0.1:1 10.0.0.2:1",
    "udp UNCONN 0 0 10.0.0.1:1 10.0.0.2:1",
    "ESTAB 0 0 host:ssh peer:5000",
  ])("skipped: %s", (line) => {
    const next = "ESTAB 0 0 10.0.0.9:1 10.0.0.2:1";
    const { rows, skipped } = readSs(`${line}\n\t cubic cwnd:1\n${next}\n`);
    expect(rows.map(({ local }) => local)).toEqual(["10.0.0.9 1"]);
    expect(skipped).toBe(1);
  });
  test("queues of six digits that touch are parted where the heading is", () => {
    const text =
      "State      Recv-QSend-Q Local Address:Port Peer Address:Port\nESTAB      1234560      10.0.0.1:22 10.0.0.2:5000\n";
    expect(readSs(text).rows).toMatchObject([{ rqueue: 123_456, wqueue: 0 }]);
  });
  test("blank and doubled lines below a socket", () => {
    const text =
      "\n\t\nESTAB 0 0 10.0.0.1:22 10.0.0.2:5000\n\t\n\n\t cubic cwnd:3\n\t rtt:1/1\nESTAB 0 0 10.0.0.1:23 10.0.0.2:5000\n";
    const { rows, skipped } = readSs(text);
    expect(skipped).toBe(0);
    expect(rows).toMatchObject([{ info: { snd_cwnd: 3, rtt: 1000 } }, { full: 0, info: {} }]);
  });
  test("*:port is of IPv4 before 4.14, and of IPv6 since", () => {
    const family = (answer: string) =>
      readSs("LISTEN 0 1 *:22 *:*\n", { format: ssFormat(answer, "6.1") }).rows.map((row) => row.family);
    expect(family("iproute2-ss131122")).toEqual([2]);
    expect(family("iproute2-ss171113")).toEqual([10]);
    expect(family("iproute2-6.1.0")).toEqual([10]);
  });
  test("SCTP associations have states of their own", () => {
    const text =
      "LISTEN 0 5 10.0.0.1:7 0.0.0.0:* ino:5 sk:1\n\t skmem:(r0)\n `- ESTAB 0 0 10.0.0.1:7 10.0.0.2:9 ino:5 sk:2\n\t skmem:(r0) locals:10.0.0.1\n";
    expect(readSs(text, { protocol: "sctp" }).rows).toMatchObject([
      { state: 10, cookie: 1 },
      { state: 3, cookie: 2 },
    ]);
  });
});

describe("cookies", () => {
  const cookies = (text: string) => readSs(text).rows.map(({ cookie }) => cookie);
  const row = (details: string, port = 5000) => `ESTAB 0 0 10.0.0.1:22 10.0.0.2:${port} ${details}\n`;

  test("a connection without one is known by its addresses, accepted or not, closed or not", () => {
    const [embryo, accepted, other, real] = cookies(
      row("ino:0 sk:0") + row("ino:5") + row("ino:5", 5001) + row("sk:1f"),
    );
    expect(accepted).toBe(embryo);
    expect(other).not.toBe(embryo);
    expect([Math.sign(embryo ?? 0), Math.sign(other ?? 0), real]).toEqual([-1, -1, 0x1f]);
  });
  test("a kernel's pointer is none, since a number cannot hold it", () => {
    expect(cookies(row("ino:5 sk:ffff880012345678"))).toEqual(cookies(row("ino:5")));
  });
  test("listeners that share an address are known by their inodes", () => {
    const text = "LISTEN 0 5 10.0.0.1:22 0.0.0.0:* ino:5\nLISTEN 0 5 10.0.0.1:22 0.0.0.0:* ino:6\n";
    expect(cookies(text)).toEqual([-5, -6]);
  });
});

describe("any text", () => {
  const real = Object.keys(releases).flatMap((release) =>
    (["tcp", "udp", "unix", "raw"] as const).map((protocol) => [protocol, fixture(`${release}.${protocol}`)] as const),
  );
  const words = [
    "ESTAB",
    "tcp",
    "10.0.0.1:80",
    "[::1]:80",
    "*:*",
    "skmem:(",
    "d5)",
    "rtt:1/2",
    "retrans:",
    "wscale:1,",
    "pacing_rate",
    "0",
    " ",
    "\n",
    "\n\t",
    "sk:",
    "ino:9",
    "`- ",
  ];
  const sane = ({ rows, skipped }: ReturnType<typeof readSs>): void => {
    expect(skipped).toBeGreaterThanOrEqual(0);
    for (const { info, cookie, drops } of rows) {
      for (const value of Object.values(info)) expect(value).toBeGreaterThanOrEqual(0);
      expect(Number.isSafeInteger(cookie) && cookie !== 0).toBe(true);
      expect(drops).not.toBeLessThan(0);
    }
  };

  test("gives sockets or is skipped", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => sane(readSs(text))));
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...words), { maxLength: 40 }), (parts) => sane(readSs(parts.join(" ")))),
    );
  });

  test("real text with a part cut out or overwritten costs the sockets around it only", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...real),
        fc.nat(),
        fc.nat(60),
        fc.string({ maxLength: 20 }),
        fc.boolean(),
        ([protocol, text], place, length, other, memory) => {
          const at = place % text.length;
          const whole = readSs(text, { protocol, memory });
          const broken = readSs(text.slice(0, at) + other + text.slice(at + length), { protocol, memory });
          sane(broken);
          const lines = text.slice(at, at + length).split("\n").length + other.split("\n").length;
          expect(broken.rows.length).toBeGreaterThanOrEqual(whole.rows.length - lines - 1);
        },
      ),
    );
  });

  test("in pieces is the same as whole", () => {
    fc.assert(
      fc.property(fc.constantFrom(...real), fc.integer({ min: 1, max: 300 }), ([protocol, text], piece) => {
        expect(readSs(text, { protocol, piece })).toEqual(readSs(text, { protocol }));
      }),
    );
  });

  test("a line without an end is dropped at its bound, and the next socket is kept", () => {
    const records = createSsRecords(100);
    const done = records.push("ESTAB 0 0 10.0.0.1:1 10.0.0.2:1\n");
    for (let count = 0; count < 50; count++) done.push(...records.push("x".repeat(50)));
    done.push(...records.push("\n\t info of it\nESTAB 0 0 10.0.0.1:2 10.0.0.2:1\n"), ...records.end());
    expect(done.map(({ line }) => line)).toEqual([
      "ESTAB 0 0 10.0.0.1:1 10.0.0.2:1",
      "ESTAB 0 0 10.0.0.1:2 10.0.0.2:1",
    ]);
    expect(records.skipped).toBe(1);
  });
  test("is read in a time that grows with its length", () => {
    const started = performance.now();
    for (const text of [
      "a ".repeat(200_000),
      `u_str ESTAB 0 0 ${"5 * ".repeat(100_000)}`,
      `ESTAB 0 0 ${"mem:(".repeat(100_000)}`,
      `${" ".repeat(500_000)}x`,
      `0${" ".repeat(500_000)}x`,
      `ESTAB 0 0 ${"1:".repeat(200_000)}`,
    ])
      for (const protocol of ["tcp", "unix"] as const) readSs(text, { protocol });
    expect(performance.now() - started).toBeLessThan(5000);
  });
});
