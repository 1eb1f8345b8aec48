import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createSocketBatch } from "../../src/model/socket.ts";
import { createInetDecoder, encodeInetDump, encodeTcpDump, tcpDumps, udpDumps } from "../../src/netlink/inet-diag.ts";
import { createReceiveBuffer, decodeReceive } from "../../src/netlink/message.ts";
import {
  planTcpInfo,
  tcpInfo,
  type TcpInfoField,
  tcpInfoFields,
  tcpInfoIndex,
  tcpInfoStride,
} from "../../src/netlink/tcp-info.ts";
import { addressText, local, peer } from "../../src/netlink/address.ts";
import { attribute, done, message, seq } from "../kit/netlink-messages.ts";
import { addressBytes } from "../kit/sockets.ts";

const diagMessage = (attributes: readonly Buffer[], sequence = seq): Buffer => {
  const body = Buffer.alloc(72);
  body.set([2, 1, 0, 0], 0); // AF_INET, TCP_ESTABLISHED, timer, retrans
  body.writeUInt16BE(8080, 4); // sport
  body.writeUInt16BE(51_234, 6); // dport
  body.set(addressBytes("10.1.2.3", 4), 8); // src
  body.set(addressBytes("192.0.2.7", 4), 24); // dst
  body.writeUInt32LE(0x2a, 44); // cookie[0]
  body.writeUInt32LE(1, 48); // cookie[1]
  body.writeUInt32LE(11, 56); // rqueue
  body.writeUInt32LE(22, 60); // wqueue
  return message(18, Buffer.concat([body, ...attributes]), { sequence });
};

const info = (length: number): Buffer => {
  const bytes = Buffer.alloc(length);
  const put = (field: TcpInfoField, value: bigint): void => {
    const { offset, width } = tcpInfo[field];
    if (width === "bit") bytes.writeUInt8(0xfe | Number(value), offset);
    else if (width !== 4 && width !== 8) throw new Error(`${field} is not written here`);
    else if (offset + width <= length && width === 8) bytes.writeBigUInt64LE(value, offset);
    else if (offset + width <= length) bytes.writeUInt32LE(Number(value), offset);
  };
  put("delivery_rate_app_limited", 1n);
  put("rtt", 1234n);
  put("total_retrans", 3n);
  put("bytes_acked", (1n << 40n) + 5n);
  put("segs_in", 0xfffffffen);
  put("delivery_rate", 9_000_000_000n);
  return bytes;
};

const skmem = (): Buffer => {
  const bytes = Buffer.alloc(36);
  bytes.writeUInt32LE(77, 32);
  return bytes;
};

const plan = planTcpInfo(tcpInfoFields);

const decode = (...messages: readonly Buffer[]) => {
  const bytes = Buffer.concat(messages);
  const buffer = createReceiveBuffer(32_768);
  buffer.bytes.set(bytes);
  const batch = createSocketBatch(400, tcpInfoStride);
  const result = decodeReceive(buffer, bytes.length, seq, createInetDecoder("tcp", plan, true), batch);
  const field = (name: TcpInfoField, row = 0): number => batch.info[row * tcpInfoStride + tcpInfoIndex[name]] as number;
  return { batch, result, field };
};

describe("a request", () => {
  test("for all TCP sockets is an inet_diag_req of type 18", () => {
    const bytes = Buffer.from(encodeTcpDump(9, 0xfbf, 0x42));
    expect([bytes.readUInt32LE(0), bytes.readUInt16LE(4), bytes.readUInt16LE(6), bytes.readUInt32LE(8)]).toEqual([
      76, 18, 0x301, 9,
    ]);
    expect([bytes.readUInt8(19), bytes.readUInt32LE(68)]).toEqual([0x42, 0xfbf]);
  });

  test("for one family and protocol is an inet_diag_req_v2 of type 20", () => {
    const bytes = Buffer.from(encodeInetDump(9, 10, 17, 0x80, 0x40));
    expect([bytes.readUInt32LE(0), bytes.readUInt16LE(4)]).toEqual([72, 20]);
    expect([...bytes.subarray(16, 19), bytes.readUInt32LE(20)]).toEqual([10, 17, 0x40, 0x80]);
  });

  test("never asks to destroy a socket (SOCK_DESTROY is type 21)", () => {
    const options = { plan, congestion: true, program: () => Uint8Array.of(0, 4, 0, 0), timeWait: true };
    for (const { encode } of [...tcpDumps(options), ...udpDumps()])
      expect(Buffer.from(encode(1)).readUInt16LE(4)).not.toBe(21);
  });
});

describe("a reply", () => {
  test("gives the socket's ends, cookie, queues, tcp_info and drops", () => {
    const { batch, result, field } = decode(
      diagMessage([attribute(8, Buffer.of(0)), attribute(2, info(280)), attribute(7, skmem())]),
    );
    expect(result).toEqual({ done: false, errno: 0, skipped: 0 });
    expect([batch.length, batch.family[0], batch.state[0], batch.localPort[0], batch.peerPort[0]]).toEqual([
      1, 2, 1, 8080, 51_234,
    ]);
    expect([addressText(batch, 0, local), addressText(batch, 0, peer)]).toEqual(["10.1.2.3", "192.0.2.7"]);
    expect([batch.cookie[0], batch.rqueue[0], batch.wqueue[0], batch.drops[0], batch.full[0]]).toEqual([
      2 ** 32 + 0x2a,
      11,
      22,
      77,
      1,
    ]);
    expect(field("rtt")).toBe(1234);
    expect(field("total_retrans")).toBe(3);
    expect(field("bytes_acked")).toBe(2 ** 40 + 5);
    expect(field("segs_in")).toBe(0xfffffffe);
    expect(field("delivery_rate")).toBe(9_000_000_000);
    expect(field("delivery_rate_app_limited")).toBe(1);
  });

  test("of an older kernel leaves the fields beyond its length absent, not 0", () => {
    const { batch, field } = decode(diagMessage([attribute(2, info(104))]));
    expect(batch.full[0]).toBe(1);
    expect(field("total_retrans")).toBe(3);
    expect([field("bytes_acked"), field("min_rtt"), field("delivery_rate")]).toEqual([
      Number.NaN,
      Number.NaN,
      Number.NaN,
    ]);
    expect(batch.drops[0]).toBeNaN();
  });

  test("of another request is passed over", () => {
    expect(decode(diagMessage([], seq + 1), diagMessage([])).batch.length).toBe(1);
  });

  test("ends with its status: 0, or an errno by NLMSG_DONE and by NLMSG_ERROR", () => {
    expect(decode(diagMessage([]), done(0)).result).toEqual({ done: true, errno: 0, skipped: 0 });
    expect(decode(done(-2)).result).toEqual({ done: true, errno: 2, skipped: 0 });
    expect(decode(done(-16, 2)).result).toEqual({ done: true, errno: 16, skipped: 0 });
  });

  test("whose last message is cut is counted, and what stands before it stays", () => {
    const { batch, result } = decode(diagMessage([]), diagMessage([attribute(2, info(280))]).subarray(0, 200));
    expect([batch.length, result.skipped]).toEqual([1, 1]);
  });

  test("whose attribute runs over its message keeps the socket", () => {
    const bad = attribute(2, info(280));
    bad.writeUInt16LE(2000, 0);
    const { batch } = decode(diagMessage([attribute(7, skmem()), bad]));
    expect([batch.length, batch.full[0], batch.drops[0]]).toEqual([1, 0, 77]);
  });

  test("may end with a message whose length is no multiple of 4", () => {
    const odd = diagMessage([]);
    const body = Buffer.concat([odd, Buffer.from([5, 0, 8, 0, 1])]);
    body.writeUInt32LE(body.length, 0);
    expect(decode(body).batch.length).toBe(1);
  });

  test("of any bytes is rows, skips or an end, and never a crash", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), fc.boolean(), (bytes, plausible) => {
        const noise = Buffer.from(bytes);
        if (plausible && noise.length >= 16) {
          noise.writeUInt32LE(noise.length, 0);
          noise.writeUInt16LE(20, 4);
          noise.writeUInt32LE(seq, 8);
        }
        const { batch } = decode(noise);
        expect(batch.length).toBeLessThanOrEqual(noise.length / 88 + 1);
      }),
    );
  });
});
