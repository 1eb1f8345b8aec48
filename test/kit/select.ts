import fc from "fast-check";
import { parseNetwork, type Network, withoutHostBits } from "../../src/model/address.ts";
import type { SelectConfig, SelectEntry } from "../../src/model/config.ts";
import { connectionStates } from "../../src/model/connection-state.ts";
import type { SocketBatch } from "../../src/model/socket.ts";
import { AF_INET } from "../../src/netlink/constants.ts";
import type { Selector, SelectorOwner } from "../../src/select/select.ts";
import { mergeNetworks, mergePorts } from "../../src/config/select.ts";
import type { Entry } from "./bytecode-interpreter.ts";
import type { SocketRow } from "./sockets.ts";

/** `10.0.0.0/8`, or an address. */
export const networkOf = (text: string): Network => {
  const [address = "", bits] = text.split("/");
  const network = parseNetwork(address, bits === undefined ? undefined : Number(bits));
  if (network === undefined) throw new Error(`no network: ${text}`);
  return withoutHostBits(network);
};

export const selectOf = (
  include: readonly Partial<SelectEntry>[],
  exclude: readonly Partial<SelectEntry>[] = [],
): SelectConfig => ({
  include: include.map((entry) => ({ side: "any", ...entry })),
  exclude: exclude.map((entry) => ({ side: "any", ...entry })),
});

export const unknownOwner: SelectorOwner = { process: undefined, cgroup: undefined };

/** Few addresses and ports, so that entries and sockets meet. */
export const addresses = [
  "10.0.0.1",
  "10.0.0.2",
  "10.1.0.1",
  "127.0.0.1",
  "0.0.0.0",
  "::1",
  "::",
  "fe80::1",
  "2001:db8::1",
  "::ffff:10.0.0.1",
  "::ffff:127.0.0.1",
];
const wholePort = fc.oneof(fc.constantFrom(1, 22, 80, 443, 8000, 65_535), fc.integer({ min: 1, max: 65_535 }));
const plainAddress = fc.constantFrom(...addresses.filter((text) => !text.startsWith("::ffff")));
const aNetwork = fc
  .tuple(plainAddress, fc.nat(128))
  .map(([address, bits]) => networkOf(`${address}/${address.includes(":") ? bits : bits % 33}`));

export const aRow: fc.Arbitrary<SocketRow> = fc.constantFrom(4 as const, 6 as const).chain((family) => {
  const address = fc.constantFrom(...addresses.filter((text) => text.includes(":") === (family === 6)));
  return fc.record({
    cookie: fc.constant(1),
    family: fc.constant(family),
    protocol: fc.constantFrom("tcp" as const, "udp" as const),
    state: fc.integer({ min: 1, max: 11 }),
    local: address,
    localPort: fc.oneof(wholePort, fc.constant(0)),
    peer: address,
    peerPort: fc.oneof(wholePort, fc.constant(0)),
  });
});

const some = <T>(item: fc.Arbitrary<T>, most: number): fc.Arbitrary<T[]> =>
  fc.array(item, { minLength: 1, maxLength: most });

const kernelKeys = (most: number) => ({
  ports: some(fc.tuple(wholePort, fc.nat(2000)), most).map((pairs) =>
    mergePorts(pairs.map(([from, more]) => ({ from, to: Math.min(65_535, from + (more < 1000 ? 0 : more)) }))),
  ),
  addresses: some(plainAddress.map(networkOf), most).map(mergeNetworks),
  networks: some(aNetwork, most).map(mergeNetworks),
  hosts: fc.subarray(["a.internal", "b.internal", "c.internal"], { minLength: 1 }),
  loopback: fc.boolean(),
});

const otherKeys = {
  protocols: fc.subarray(["tcp", "udp"] as const, { minLength: 1 }),
  states: fc.subarray([...connectionStates], { minLength: 1 }),
  pids: fc.subarray([1, 2, 3], { minLength: 1 }),
  cmds: fc.subarray(["nginx", "*worker*", "sshd"], { minLength: 1 }),
  cgroups: fc.subarray(["/system.slice", "nginx.service", "*user*"], { minLength: 1 }),
  containers: fc.subarray(["telemetry", "0123456789ab"], { minLength: 1 }),
};

const side = fc.constantFrom("any" as const, "local" as const, "remote" as const);

const entryOf = <T extends object>(keys: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<SelectEntry> =>
  fc
    .tuple(fc.record(keys, { requiredKeys: [] }), side, fc.option(side, { nil: undefined }))
    .filter(([given]) => Object.keys(given).length > 0)
    .map(([given, wanted, portSide]): SelectEntry => ({ ...given, side: wanted, portSide }));

const configOf = (entry: fc.Arbitrary<SelectEntry>, most: number): fc.Arbitrary<SelectConfig> =>
  fc.record({ include: fc.array(entry, { maxLength: most }), exclude: fc.array(entry, { maxLength: most }) });

/** Of keys that the kernel decides, seldom more of them than a program takes. */
export const kernelConfig = configOf(entryOf(kernelKeys(2)), 2);
export const anyConfig = configOf(entryOf({ ...kernelKeys(8), ...otherKeys }), 3);

/** What the hosts of the random configurations resolve to: one to both families, one to nothing. */
const resolved: Readonly<Record<string, readonly string[]>> = {
  "a.internal": ["10.0.0.1", "2001:db8::1", "fe80::1%eth0"],
  "b.internal": ["::ffff:10.1.0.1"],
};

export const resolveHosts = (selector: Selector): Selector => {
  for (const [host, found] of Object.entries(resolved)) selector.setHost(host, found);
  return selector;
};

export const addressesOfHosts = (hosts: readonly string[]): Network[] =>
  hosts.flatMap((host) => (resolved[host] ?? []).map((address) => networkOf(address.replace(/%.*/, ""))));

/** What the kernel runs a program on. */
export const entryOfRow = (batch: SocketBatch, row: number): Entry => {
  const inet = batch.family[row] === AF_INET;
  const bytes = new Uint8Array(batch.addresses.buffer);
  const at = (end: 0 | 16): Uint8Array => bytes.subarray(row * 32 + end, row * 32 + end + (inet ? 4 : 16));
  return {
    family: inet ? 2 : 10,
    source: at(0),
    destination: at(16),
    sport: batch.localPort[row] as number,
    dport: batch.peerPort[row] as number,
  };
};
