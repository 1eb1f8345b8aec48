import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { contains, type Network, parseNetwork, withoutHostBits } from "../../src/model/address.ts";
import { assemble, type Filter, leavesOf } from "../../src/netlink/bytecode.ts";
import { auditFault, type Entry, runProgram } from "../kit/bytecode-interpreter.ts";
import { addressBytes } from "../kit/sockets.ts";

const networkOf = (text: string): Network => {
  const [address = "", bits] = text.split("/");
  const network = parseNetwork(address, bits === undefined ? undefined : Number(bits));
  if (network === undefined) throw new Error(text);
  return withoutHostBits(network);
};

/** Few addresses and ports, so that filters and sockets meet. */
const addresses = [
  "10.0.0.1",
  "10.0.0.2",
  "127.0.0.1",
  "0.0.0.0",
  "::1",
  "::",
  "fe80::1",
  "2001:db8::1",
  "::ffff:10.0.0.1",
  "::ffff:127.0.0.1",
];
const ports = [0, 22, 80, 443, 8000, 65_535];
const anEnd = fc.constantFrom("local" as const, "peer" as const);
const aPort = fc.oneof(fc.constantFrom(...ports), fc.integer({ min: 0, max: 65_535 }));
const aNetwork = fc
  .tuple(fc.constantFrom(...addresses.filter((text) => !text.startsWith("::ffff"))), fc.nat(128))
  .map(([address, bits]) => networkOf(`${address}/${address.includes(":") ? bits : bits % 33}`));
const aLeaf: fc.Arbitrary<Filter> = fc.oneof(
  fc
    .tuple(anEnd, aPort, aPort)
    .map(([end, a, b]): Filter => ({ kind: "ports", end, from: Math.min(a, b), to: Math.max(a, b) })),
  fc.record({ kind: fc.constant("network" as const), end: anEnd, network: aNetwork }),
);
const { filter: aFilter } = fc.letrec<{ filter: Filter }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 5, depthSize: "medium" },
    aLeaf,
    fc.record({ kind: fc.constantFrom("all" as const, "any" as const), of: fc.array(tie("filter"), { maxLength: 4 }) }),
    fc.record({ kind: fc.constant("not" as const), of: tie("filter") }),
  ),
}));

type Socket = {
  readonly family: 4 | 6;
  readonly local: string;
  readonly peer: string;
  readonly sport: number;
  readonly dport: number;
};

const aSocket: fc.Arbitrary<Socket> = fc.constantFrom(4 as const, 6 as const).chain((family) => {
  const address = fc.constantFrom(...addresses.filter((text) => text.includes(":") === (family === 6)));
  return fc.record({ family: fc.constant(family), local: address, peer: address, sport: aPort, dport: aPort });
});

const bytesOf = (text: string, family: 4 | 6): Uint8Array =>
  addressBytes(text, family).subarray(0, family === 4 ? 4 : 16);

const entryOf = ({ family, local, peer, sport, dport }: Socket): Entry => ({
  family: family === 4 ? 2 : 10,
  source: bytesOf(local, family),
  destination: bytesOf(peer, family),
  sport,
  dport,
});

/** What the filter means, without a program. */
const isTrueOf = (filter: Filter, socket: Socket): boolean => {
  switch (filter.kind) {
    case "all":
      return filter.of.every((each) => isTrueOf(each, socket));
    case "any":
      return filter.of.some((each) => isTrueOf(each, socket));
    case "not":
      return !isTrueOf(filter.of, socket);
    case "ports": {
      const port = filter.end === "local" ? socket.sport : socket.dport;
      return filter.from <= port && port <= filter.to;
    }
    default: {
      const address = socket[filter.end];
      const mapped = /^::ffff:([\d.]+)$/.exec(address)?.[1];
      if (mapped === undefined || filter.network.family === 4) return contains(filter.network, networkOf(address));
      const words = new Uint32Array(addressBytes(address, 6).buffer);
      return contains(filter.network, { family: 6, words: [...words], prefix: 128 });
    }
  }
};

const hex = (program: Uint8Array): string => Buffer.from(program).toString("hex");

test("a program of ss comes out byte by byte: dport >= 80 and dport <= 443 or src 127.0.0.0/8", () => {
  const filter: Filter = {
    kind: "any",
    of: [
      { kind: "ports", end: "peer", from: 80, to: 443 },
      { kind: "network", end: "local", network: networkOf("127.0.0.0/8") },
    ],
  };
  expect(hex(assemble(filter))).toBe("040814000000500005080c000000bb01010414000710140002080000ffffffff7f000000");
  expect(leavesOf(filter)).toBe(3);
});

test.each([
  [{ kind: "ports", end: "local", from: 443, to: 443 }, "0b080c000000bb01"],
  [{ kind: "ports", end: "local", from: 0, to: 1023 }, "03080c000000ff03"],
  [{ kind: "ports", end: "peer", from: 1024, to: 65_535 }, "04080c0000000004"],
  [
    { kind: "network", end: "peer", network: networkOf("::1/128") },
    "081c20000a800000ffffffff" + "00".repeat(15) + "01",
  ],
  [{ kind: "any", of: [] }, "01040800"],
  [{ kind: "all", of: [] }, "0104080001040800"],
] as const)("%j", (filter, program) => {
  expect(hex(assemble(filter))).toBe(program);
});

describe("the program of any filter", () => {
  test("passes the kernel's audit", () => {
    fc.assert(
      fc.property(aFilter, (filter) => {
        expect(auditFault(assemble(filter))).toBeUndefined();
      }),
      { numRuns: 3000 },
    );
  });

  test("accepts what the filter is true of, and nothing else", () => {
    fc.assert(
      fc.property(aFilter, fc.array(aSocket, { minLength: 1, maxLength: 20 }), (filter, sockets) => {
        const program = assemble(filter);
        for (const socket of sockets) expect(runProgram(program, entryOf(socket))).toBe(isTrueOf(filter, socket));
      }),
      { numRuns: 3000 },
    );
  });
});

test("a filter that 16 bits cannot jump over is refused", () => {
  const of = Array.from({ length: 3000 }, (): Filter => ({
    kind: "network",
    end: "peer",
    network: networkOf("::1/128"),
  }));
  expect(() => assemble({ kind: "not", of: { kind: "all", of } })).toThrow(RangeError);
});

describe("the audit", () => {
  test.each([
    ["", "0 bytes"],
    ["0408", "2 bytes"],
    ["ff040800", "operation 255 at 0"],
    ["04080c00", "operation 4 at 0"],
    ["04040c0000005000", "yes 4 at 0"],
    ["0408060000005000", "no 6 at 0"],
    ["0408100000005000", "no 16 at 0"],
    ["04080c00000050000104040004080c0000005000", undefined],
    ["0104080004080c0000005000", "no 8 at 0 is in the middle of an operation"],
    ["0710140002210000ffffffff7f000000", "operation 7 at 0"],
    ["0a0c100000000000000000ff", "operation 10 at 0"],
  ])("of %s", (program, fault) => {
    expect(auditFault(Buffer.from(program, "hex"))).toBe(fault);
  });
});
