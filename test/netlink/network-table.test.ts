import { expect, test } from "vitest";
import { local, peer } from "../../src/netlink/address.ts";
import { createNetworkTable, placeOfAddress } from "../../src/netlink/network-table.ts";
import { networkOf } from "../kit/select.ts";
import { batchOf } from "../kit/sockets.ts";

const table = createNetworkTable(
  ["10.1.0.0/16", "2001:db8:1::/48", "10.0.0.0/8", "2001:db8::/32", "0.0.0.0/0", "::1"].map(networkOf),
);

test.each([
  [4, "10.1.2.3", 0],
  [4, "10.2.0.0", 2],
  [4, "203.0.113.7", 4],
  [6, "::ffff:10.1.2.3", 0],
  [6, "2001:db8:1::9", 1],
  [6, "2001:db8:2::9", 3],
  [6, "::1", 5],
  [6, "::", -1],
] as const)("IPv%i %s is first held by the network at %i", (family, address, place) => {
  const wildcard = family === 4 ? "0.0.0.0" : "::";
  const batch = batchOf([{ cookie: 1 }, { cookie: 2, family, local: address, peer: wildcard }]);
  expect(placeOfAddress(table, batch, 1, local)).toBe(place);
  expect(placeOfAddress(table, batch, 1, peer)).toBe(family === 4 ? 4 : -1);
});
