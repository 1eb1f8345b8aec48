import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { contains, formatNetwork, parseNetwork } from "../../src/model/address.ts";
import type { SelectEntry } from "../../src/model/config.ts";
import { mergeNetworks, mergePorts, parseCidr, parsePorts, parseState } from "../../src/config/select.ts";
import { isFault } from "../../src/text/fault.ts";
import { configOf, messageOf } from "./parsing.ts";

/** The only entry of a file that includes what is written. */
const entryOf = (written: string, protocols = "[tcp, udp]"): SelectEntry | undefined => {
  const { sockets } = configOf(`sockets: { protocols: ${protocols}, select: { include: [${written}] } }`);
  return sockets === "off" ? undefined : sockets.select.include[0];
};

describe("an entry", () => {
  test("has its ports in order and joined", () => {
    expect(entryOf('{ ports: [443, "8000-8010", "8005-9000", 442, 9001, "443", 1] }')?.ports).toEqual([
      { from: 1, to: 1 },
      { from: 442, to: 443 },
      { from: 8000, to: 9001 },
    ]);
  });

  test("has its networks without those that another one holds, and mapped ones as IPv4", () => {
    const { networks, addresses } =
      entryOf(
        '{ networks: [10.1.0.0/16, 10.0.0.0/8, "::ffff:10.2.0.0/112", "fe80::/10", 10.0.0.0/8], addresses: ["::ffff:10.0.0.1", 10.0.0.1] }',
      ) ?? {};
    expect(networks?.map(formatNetwork)).toEqual(["10.0.0.0/8", "fe80::/10"]);
    expect(addresses?.map(formatNetwork)).toEqual(["10.0.0.1/32"]);
  });

  test("has every other value once, and hosts in lower case", () => {
    expect(entryOf("{ hosts: [DB.internal, db.internal], pids: [7, 7], states: [ESTAB, established] }")).toEqual({
      hosts: ["db.internal"],
      pids: [7],
      states: ["established"],
      side: "any",
    });
  });

  test.each(["on", "true", "off", "false"])("can say loopback: %s", (written) => {
    expect(entryOf(`{ loopback: ${written} }`)?.loopback).toBe(written === "on" || written === "true");
  });

  test("can take its port from the environment", () => {
    const { sockets } = configOf('sockets: { select: { include: [{ ports: ["${env:PORT}"] }] } }', { PORT: "443" });
    expect(sockets).toMatchObject({ select: { include: [{ ports: [{ from: 443, to: 443 }] }] } });
  });
});

describe("states", () => {
  test.each([
    ["established", "established"],
    ["ESTAB", "established"],
    ["TCP_SYN_RECV", "syn_received"],
    ["syn-recv", "syn_received"],
    ["FIN-WAIT-1", "fin_wait_1"],
    ["TCP_FIN_WAIT2", "fin_wait_2"],
    ["UNCONN", "closed"],
    ["close", "closed"],
    ["listening", "listen"],
    ["time-wait", "time_wait"],
  ])("%s is %s", (written, state) => {
    expect(parseState(written)).toBe(state);
  });

  test.each(["constructor", "", "tcp_", "TCP_TCP_LISTEN"])("%j is none", (written) => {
    expect(isFault(parseState(written))).toBe(true);
  });
});

describe("ports", () => {
  const range = fc
    .tuple(fc.integer({ min: 1, max: 65_535 }), fc.integer({ min: 1, max: 65_535 }))
    .map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) }));

  test("joined are the same ports, ascending and apart", () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 8 }), fc.integer({ min: 1, max: 65_535 }), (ranges, port) => {
        const merged = mergePorts(ranges);
        const holds = (list: typeof ranges): boolean => list.some(({ from, to }) => from <= port && port <= to);
        expect(holds(merged)).toBe(holds(ranges));
        for (const [at, { from }] of merged.entries()) expect(from).toBeGreaterThan((merged[at - 1]?.to ?? -1) + 1);
      }),
    );
  });

  test("written are read, whatever they are", () => {
    fc.assert(
      fc.property(range, ({ from, to }) => {
        expect(parsePorts(`${from}-${to}`)).toEqual({ from, to });
      }),
    );
    fc.assert(fc.property(fc.string(), (written) => isFault(parsePorts(written)) || Number(written) > 0));
  });
});

describe("networks", () => {
  test("joined hold the same addresses", () => {
    const network = fc
      .tuple(fc.constantFrom("10.0.0.0", "10.128.0.0", "11.0.0.0", "fe80::"), fc.integer({ min: 8, max: 12 }))
      .map(([address, prefix]) => parseNetwork(address, prefix))
      .filter((parsed) => parsed !== undefined);
    fc.assert(
      fc.property(fc.array(network, { maxLength: 6 }), (networks) => {
        const merged = mergeNetworks(networks);
        for (const one of networks) expect(merged.filter((outer) => contains(outer, one))).toHaveLength(1);
        for (const one of merged) expect(networks).toContainEqual(one);
      }),
    );
  });

  test("of any text are a network or a fault", () => {
    const written = fc.oneof(
      fc.string(),
      fc.tuple(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat(200)).map((p) => p.join("/")),
    );
    fc.assert(
      fc.property(written, (text) => {
        const parsed = parseCidr(text);
        if (!isFault(parsed)) expect(parseCidr(formatNetwork(parsed))).toEqual(parsed);
        else {
          const [, remedy] = /^has bits behind its prefix: write (\S+) /.exec(parsed.fault) ?? [];
          if (remedy !== undefined) expect(isFault(parseCidr(remedy))).toBe(false);
        }
      }),
    );
  });

  test("with names keep the names' order", () => {
    const { networks } = configOf('networks: { b: [10.0.0.0/8, 10.1.0.0/16], a: ["fe80::/10"] }');
    expect(networks.map(({ name, networks: held }) => [name, held.map(formatNetwork)])).toEqual([
      ["b", ["10.0.0.0/8"]],
      ["a", ["fe80::/10"]],
    ]);
  });
});

describe("an inclusion that an exclusion covers", () => {
  const covered = (include: string, exclude: string): boolean => {
    const text = `sockets: { select: { include: [${include}], exclude: [${exclude}] } }`;
    try {
      configOf(text);
      return false;
    } catch {
      expect(messageOf(text)).toBe(
        "f.yaml:1:32: sockets.select.include[0]: cannot match: sockets.select.exclude[0] leaves out all that it takes",
      );
      return true;
    }
  };

  test.each([
    ["{ ports: [443] }", "{ ports: [443] }"],
    ["{ ports: [443], side: local }", "{ ports: [443] }"],
    ["{ ports: [443], side: remote, port_side: local }", "{ ports: [443], side: local }"],
    ["{ ports: [443], side: local, port_side: any }", "{ ports: [443] }"],
    ["{ ports: [443], pids: [1] }", '{ ports: ["400-500"] }'],
    ["{ networks: [10.1.0.0/16] }", "{ networks: [10.0.0.0/8] }"],
    ["{ loopback: on, side: local }", "{ loopback: on }"],
    ["{ loopback: off, side: local }", "{ loopback: off, side: local }"],
    ["{ states: [listen] }", "{ states: [listen, closed] }"],
  ])("%s by %s", (include, exclude) => {
    expect(covered(include, exclude)).toBe(true);
  });

  test.each([
    ["{ ports: [443] }", "{ ports: [443], pids: [1] }"],
    ["{ ports: [443] }", "{ ports: [443], side: local }"],
    ["{ ports: [443], side: remote }", "{ ports: [443], side: local }"],
    ["{ ports: [443], side: local, port_side: remote }", "{ ports: [443], side: local }"],
    ["{ ports: [443, 80] }", "{ ports: [443] }"],
    ["{ networks: [10.0.0.0/8] }", "{ networks: [10.1.0.0/16] }"],
    ["{ loopback: off, side: local }", "{ loopback: off }"],
    ["{ loopback: on }", "{ loopback: off }"],
  ])("is not %s with %s", (include, exclude) => {
    expect(covered(include, exclude)).toBe(false);
  });
});
