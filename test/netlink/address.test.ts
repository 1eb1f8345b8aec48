import { expect, test } from "vitest";
import { addressText, local, networkType, peer } from "../../src/netlink/address.ts";
import { batchOf } from "../kit/sockets.ts";

test.each([
  [4, "10.0.0.1", "10.0.0.1", "ipv4"],
  [4, "255.255.255.255", "255.255.255.255", "ipv4"],
  [6, "::ffff:192.0.2.128", "192.0.2.128", "ipv4"],
  [6, "::1", "::1", "ipv6"],
  [6, "::", "::", "ipv6"],
  [6, "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1", "ipv6"],
  [6, "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1", "ipv6"],
  [6, "fe80:0:0:0:a:b:c:d", "fe80::a:b:c:d", "ipv6"],
  [6, "1:2:3:4:5:6:7:0", "1:2:3:4:5:6:7:0", "ipv6"],
  [6, "1:0:0:0:0:0:0:0", "1::", "ipv6"],
] as const)("IPv%i %s is written as %s and is %s (RFC 5952)", (family, written, text, type) => {
  const batch = batchOf([{ cookie: 1 }, { cookie: 2, family, local: written, peer: written }]);
  expect(addressText(batch, 1, local)).toBe(text);
  expect(addressText(batch, 1, peer)).toBe(text);
  expect(networkType(batch, 1)).toBe(type);
});
