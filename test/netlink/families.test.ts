import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createSocketBatch, protocolIndex, type SocketProtocol, socketProtocols } from "../../src/model/socket.ts";
import { dumpsOf, isLacking } from "../../src/netlink/dumps.ts";
import { createReceiveBuffer, decodeReceive } from "../../src/netlink/message.ts";
import { planTcpInfo, tcpInfoFields, tcpInfoStride } from "../../src/netlink/tcp-info.ts";
import { attribute, message, seq, words } from "../kit/netlink-messages.ts";
import { addressBytes } from "../kit/sockets.ts";

const options = { plan: planTcpInfo(tcpInfoFields), congestion: false, program: undefined, timeWait: false };
const requestsOf = (protocol: SocketProtocol) => dumpsOf([protocol], options);

const decode = (protocol: SocketProtocol, ...bodies: readonly Uint8Array[]) => {
  const bytes = Buffer.concat(bodies.map((body) => message(20, body)));
  const buffer = createReceiveBuffer(32_768);
  buffer.bytes.set(bytes);
  const batch = createSocketBatch(1100, tcpInfoStride);
  // Every row is set whole, whatever was there before.
  batch.name.fill("stale");
  batch.drops.fill(1);
  batch.uid.fill(77);
  const [request] = requestsOf(protocol);
  if (request === undefined) throw new Error(protocol);
  return { batch, result: decodeReceive(buffer, bytes.length, seq, request.decode, batch) };
};

const rowOf = ({ batch }: ReturnType<typeof decode>, row = 0) => ({
  protocol: socketProtocols[batch.protocol[row] as number],
  family: batch.family[row],
  type: batch.type[row],
  state: batch.state[row],
  cookie: batch.cookie[row],
  inode: batch.inode[row],
  uid: batch.uid[row],
  rqueue: batch.rqueue[row],
  wqueue: batch.wqueue[row],
  drops: batch.drops[row],
  ifindex: batch.ifindex[row],
  name: batch.name[row],
});

/** As Linux 6.18 sent it. */
const recorded = (hex: string): Buffer => Buffer.from(hex, "hex");

const hex = (...parts: readonly string[]): string => parts.join("");

describe("requests", () => {
  const bodiesOf = (protocol: SocketProtocol): string[] =>
    requestsOf(protocol).map(({ encode }) => {
      const bytes = Buffer.from(encode(9));
      expect([bytes.readUInt32LE(0), bytes.readUInt16LE(4), bytes.readUInt16LE(6)]).toEqual([bytes.length, 20, 0x301]);
      return bytes.subarray(16).toString("hex");
    });
  const inet = (family: string, protocol: string): string => `${family}${protocol}0000ffffffff${"00".repeat(48)}`;

  test("of unix, packet, netlink and vsock are the structs of their headers", () => {
    expect(bodiesOf("unix")).toEqual([hex("01000000", "ffffffff", "00000000", "51000000", "00".repeat(8))]);
    expect(bodiesOf("packet")).toEqual([hex("11000000", "00000000", "11000000", "00".repeat(8))]);
    expect(bodiesOf("netlink")).toEqual([hex("10ff0000", "00000000", "01000000", "00".repeat(8))]);
    expect(bodiesOf("vsock")).toEqual([hex("28000000", "ffffffff", "00".repeat(16))]);
  });

  test("of protocols over IP are for both families, all states and no INFO", () => {
    expect(bodiesOf("raw")).toEqual([inet("02", "ff"), inet("0a", "ff")]);
    expect(bodiesOf("sctp")).toEqual([inet("02", "84"), inet("0a", "84")]);
    expect(bodiesOf("dccp")).toEqual([inet("02", "21"), inet("0a", "21")]);
  });

  test("of MPTCP have its number in an attribute, and never TCP's in the byte that it does not fit", () => {
    const number = hex("0800", "0300", "06010000");
    expect(bodiesOf("mptcp")).toEqual([inet("02", "00") + number, inet("0a", "00") + number]);
  });
});

describe("unix sockets", () => {
  test("that listen have their path, what waits and the backlog", () => {
    const decoded = decode(
      "unix",
      recorded(
        "01010a0005bd0300a0f7000000000000120000002f746d702f6170702e736f636b0000000c000400010000000500000005000600000000000800070000000000",
      ),
    );
    expect(rowOf(decoded)).toEqual({
      protocol: "unix",
      family: 1,
      type: 1,
      state: 10,
      cookie: 0xf7a0,
      inode: 0x3bd05,
      uid: 0,
      rqueue: 1,
      wqueue: 5,
      drops: Number.NaN,
      ifindex: 0,
      name: "/tmp/app.sock",
    });
  });

  test("have abstract names with @ for each NUL, and none where they are not bound", () => {
    const decoded = decode(
      "unix",
      recorded(
        "0102070007bd0300a1f70000000000000e0000000061627300747261637400000c000400000000000000000005000600000000000800070000000000",
      ),
      recorded("0101010006bd03009ff70000000000000c000400000000000000000005000600000000000800070000000000"),
    );
    expect(rowOf(decoded)).toMatchObject({ type: 2, state: 7, name: "@abs@tract" });
    expect(rowOf(decoded, 1)).toMatchObject({ type: 1, state: 1, name: undefined });
  });

  const header = Buffer.concat([Buffer.of(1, 1, 10, 0), words(5, 6, 0)]);
  test.each([
    ["in UTF-8", Buffer.from("/tmp/zwölf\0"), "/tmp/zwölf"],
    ["that are no UTF-8, with the bytes escaped", Buffer.of(0x2f, 0xff, 0x61, 0), "/\\xffa"],
    ["that fill sun_path, without a NUL", Buffer.alloc(108, "x"), "x".repeat(108)],
    ["that are longer than sun_path can be, cut", Buffer.alloc(5000, "x"), "x".repeat(108)],
    ["that are empty, as none", Buffer.alloc(0), undefined],
  ])("have names %s (composed)", (_what, bytes, name) => {
    expect(rowOf(decode("unix", Buffer.concat([header, attribute(0, bytes)]))).name).toBe(name);
  });
});

test("packet sockets have their device, their memory as queues, and their drops", () => {
  const decoded = decode(
    "packet",
    recorded(
      "1103030008bd0300a2f70000000000001c00000001000000000000000000000000000000000000000100000008000500000000002800060000140000001200000000000000400300000000000000000000000000000000004c000000",
    ),
  );
  expect(rowOf(decoded)).toEqual({
    protocol: "packet",
    family: 17,
    type: 3,
    state: 0,
    cookie: 0xf7a2,
    inode: 0x3bd08,
    uid: 0,
    rqueue: 5120,
    wqueue: 0,
    drops: 76,
    ifindex: 1,
    name: undefined,
  });
});

test("memory of a kernel that gives no drops has none, not 0 (composed)", () => {
  const header = Buffer.concat([Buffer.of(17, 3, 3, 0), words(5, 6, 0)]);
  const decoded = decode("packet", Buffer.concat([header, attribute(6, words(640, 1, 2, 3, 4, 5, 6, 7))]));
  expect(rowOf(decoded)).toMatchObject({ rqueue: 640, wqueue: 2, drops: Number.NaN });
});

test("netlink sockets have their type and drops", () => {
  const decoded = decode(
    "netlink",
    recorded(
      "10030407a05100000000000000000000beb90300a4f700000000000028000000001100000040030000000000004003000000000000000000000000000000000000000000",
    ),
  );
  expect(rowOf(decoded)).toMatchObject({
    protocol: "netlink",
    family: 16,
    type: 3,
    state: 7,
    cookie: 0xf7a4,
    inode: 0x3b9be,
    rqueue: 0x1100,
    drops: 0,
  });
});

test("vsock sockets (composed: this kernel has no vsock_diag)", () => {
  const decoded = decode("vsock", Buffer.concat([Buffer.of(40, 5, 10, 0), words(2, 1234, 3, 99, 4711, 8, 1)]));
  expect(rowOf(decoded)).toMatchObject({
    protocol: "vsock",
    family: 40,
    type: 5,
    state: 10,
    inode: 4711,
    cookie: 2 ** 32 + 8,
  });
});

const inetMessage = (state: number, peerPort: number, attributes: readonly Buffer[] = []): Buffer => {
  const body = Buffer.alloc(72);
  body.set([2, state], 0);
  body.writeUInt16BE(7000, 4);
  body.writeUInt16BE(peerPort, 6);
  body.set(addressBytes("127.0.0.1", 4), 8);
  body.writeUInt32LE(42, 44);
  return Buffer.concat([body, ...attributes]);
};

describe("protocols over IP", () => {
  test("MPTCP: a listener", () => {
    const decoded = decode(
      "mptcp",
      recorded(
        "020a000049c800007f0000010000000000000000000000000000000000000000000000000000000000000000acf700000000000000000000000000000400000000000000bab90300050008000000000008000f00000000000c00150001000000000000000600160052000000",
      ),
    );
    expect(rowOf(decoded)).toMatchObject({ protocol: "mptcp", state: 10, cookie: 0xf7ac, inode: 0x3b9ba, wqueue: 4 });
    expect(decoded.batch.localPort[0]).toBe(18_888);
  });

  test("MPTCP: struct mptcp_info is not read as struct tcp_info (composed)", () => {
    const { batch } = decode("mptcp", inetMessage(1, 443, [attribute(2, Buffer.alloc(96, 1))]));
    expect(batch.info.slice(0, tcpInfoStride)).toEqual(new Float64Array(tcpInfoStride).fill(Number.NaN));
  });

  test("raw and DCCP (composed: this kernel has neither)", () => {
    expect(rowOf(decode("raw", inetMessage(7, 0, [attribute(10, Buffer.of(1))])))).toMatchObject({
      protocol: "raw",
      state: 7,
    });
    expect(rowOf(decode("dccp", inetMessage(10, 0)))).toMatchObject({ protocol: "dccp", state: 10 });
  });

  test("SCTP: endpoints that listen or are closed, and associations by their own states (composed)", () => {
    const peers = attribute(13, Buffer.alloc(128));
    const locals = attribute(12, Buffer.alloc(128));
    const { batch, result } = decode(
      "sctp",
      inetMessage(10, 0, [locals]),
      inetMessage(7, 0, [locals]),
      inetMessage(1, 9000, [locals]),
      inetMessage(3, 9000, [locals, peers]),
      inetMessage(7, 9001, [locals, peers]),
    );
    expect([...batch.state.subarray(0, batch.length)]).toEqual([10, 0, 3, 7]);
    expect(result.skipped).toBe(0);
  });
});

test("a message shorter than its struct is counted as skipped", () => {
  for (const protocol of socketProtocols) {
    const { batch, result } = decode(protocol, Buffer.alloc(12));
    expect([protocol, batch.length, result.skipped]).toEqual([protocol, 0, 1]);
  }
});

test("any bytes are rows or skips, and never a crash", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...socketProtocols),
      fc.uint8Array({ maxLength: 600 }),
      fc.boolean(),
      (protocol, noise, attributes) => {
        // Half of them begin with a whole struct, so that the attributes are what is broken.
        const { batch, result } = decode(protocol, attributes ? Buffer.concat([Buffer.alloc(72), noise]) : noise);
        expect(batch.length + result.skipped).toBeLessThanOrEqual(1);
        if (batch.length === 1) expect(batch.protocol[0]).toBe(protocolIndex[protocol]);
        expect((batch.name[0] ?? "").length).toBeLessThanOrEqual(108 * 4);
      },
    ),
  );
});

test.each([
  ["vsock", 2, true],
  ["sctp", 22, true],
  ["vsock", 95, true],
  ["vsock", 93, true],
  ["unix", 1, false],
  ["tcp", 2, true],
  ["tcp", 22, false],
  ["udp", 95, false],
] as const)("%s that ends with errno %i: lacking is %s", (protocol, errno, lacking) => {
  expect(isLacking(protocol, errno)).toBe(lacking);
});
