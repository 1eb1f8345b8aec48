import fc from "fast-check";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  parseCmdline,
  parseExeLink,
  parseProcCgroup,
  parseProcStat,
  parseSocketLink,
} from "../../src/text/proc-pid.ts";

const id = "0123456789abcdef".repeat(4);

describe("stat", () => {
  const rest = "S 1 700 700 0 -1 4194560 1099 0 0 0 5 7 0 0 20 0 1 0 12345 7634944 928 18446744073709551615 1 1 0 0";

  test.each(["sshd", "a b", "a) S 1 (b", ")", "(sd-pam)", ""])("of a process that is called %j", (comm) => {
    expect(parseProcStat(`700 (${comm}) ${rest}\n`)).toEqual({ comm, starttime: 12_345 });
  });

  test.each(["", "700", "700 (sshd", "700 (sshd) S 1 2 3", `700 sshd ${rest}`, ")("])("%j is no such text", (text) => {
    expect(parseProcStat(text)).toBeUndefined();
  });

  test.skipIf(process.platform !== "linux")("of this kernel", () => {
    expect(parseProcStat(readFileSync("/proc/self/stat", "latin1"))?.starttime).toBeGreaterThan(0);
  });
});

test.each([
  ["nginx\0-g\0daemon off;\0", ["nginx", "-g", "daemon off;"]],
  ["sh\0-c\0\0", ["sh", "-c"]],
  ["env\0\0A\0", ["env", "", "A"]],
  ["nginx: worker process\0\0\0\0\0", ["nginx: worker process"]],
  ["cut\0off", ["cut", "off"]],
  ["", []],
])("the arguments of %j", (text, argv) => {
  expect(parseCmdline(text)).toEqual(argv);
});

test.each([
  ["socket:[4026531]", 4_026_531],
  ["socket:[4294967295]", 4_294_967_295],
  ["pipe:[1234]", 0],
  ["/tmp/socket:[1]", 0],
  ["socket:[]", 0],
  ["socket:[x]", 0],
  ["socket:[1", 0],
  ["anon_inode:[eventpoll]", 0],
  ["", 0],
])("the socket of %j", (link, inode) => {
  expect(parseSocketLink(link)).toBe(inode);
});

test.each([
  ["/usr/sbin/nginx", "nginx"],
  ["/usr/sbin/nginx (deleted)", "nginx"],
  ["/opt/my app (deleted)", "my app"],
  ["/memfd:runc (deleted)", "memfd:runc"],
])("the executable of %j", (link, name) => {
  expect(parseExeLink(link)).toBe(name);
});

test.each([
  ["version 2", "0::/system.slice/nginx.service\n", "/system.slice/nginx.service"],
  ["version 2, the root", "0::/\n", "/"],
  ["version 2, removed", "0::/system.slice/nginx.service (deleted)\n", "/system.slice/nginx.service"],
  ["a colon in the path", "0::/a:b/c\n", "/a:b/c"],
  [
    "hybrid, systemd",
    "4:memory:/\n1:name=systemd:/system.slice/a.service\n0::/system.slice/a.service\n",
    "/system.slice/a.service",
  ],
  [
    "hybrid, version 2 without processes",
    "4:memory:/\n1:name=systemd:/system.slice/a.service\n0::/\n",
    "/system.slice/a.service",
  ],
  [
    "hybrid, Docker by cgroupfs",
    `4:memory:/docker/${id}\n1:name=systemd:/docker/${id}\n0::/system.slice/containerd.service\n`,
    `/docker/${id}`,
  ],
  ["hybrid, a hierarchy of somebody else", "9:name=systemd:/\n4:memory:/somebody/else\n0::/\n", "/"],
  ["version 1 without systemd", "2:cpu,cpuacct:/\n1:name=openrc:/nginx\n", "/nginx"],
  [
    "version 1, the longest that is a container",
    `3:pids:/docker/${id}\n2:cpu:/docker/${id}/inner/part\n1:name=systemd:/\n`,
    `/docker/${id}/inner/part`,
  ],
  ["nothing", "", undefined],
  ["no such text", "garbage\n1:2\n:::\n", undefined],
])("the cgroup: %s", (_, text, path) => {
  expect(parseProcCgroup(text)).toBe(path);
});

test("any text is read or refused", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("0", "1", ":", "/", "(", ")", " ", "\n", "\0", "a") }), (text) => {
      parseProcStat(text);
      parseProcCgroup(text);
      parseSocketLink(`socket:[${text}]`);
      expect(parseCmdline(text).every((argument) => !argument.includes("\0"))).toBe(true);
    }),
  );
});
