import { describe, expect, test } from "vitest";
import type { ProcessInfo } from "../../src/model/owner.ts";
import { createSelector, type SelectorOwner } from "../../src/select/select.ts";
import { batchOf, type SocketRow } from "../kit/sockets.ts";
import { configOf, fixture } from "./migrating.ts";

/** A flow of a host with the address 10.0.0.5, as in `443 < 198.51.100.7:50000 nginx`. */
const rowOf = (flow: string): { row: Partial<SocketRow>; owner: SelectorOwner } => {
  const [, localPort, peer, peerPort, cmd] = /^(\d+) < ([\d.]+):(\d+)(?: (\S+))?$/.exec(flow) ?? [];
  const process: ProcessInfo | undefined =
    cmd === undefined ? undefined : { pid: 1000, executable: cmd, argv: [`/usr/sbin/${cmd}`, "-g"], cgroup: undefined };
  const row = { cookie: 1, local: "10.0.0.5", localPort: Number(localPort), peer, peerPort: Number(peerPort) };
  return { row: row as Partial<SocketRow>, owner: { process, cgroup: undefined } };
};

const isTaken = (example: string, flow: string): boolean => {
  const { sockets } = configOf(fixture(`ss-exporter-${example}.yml`));
  if (sockets === "off") throw new Error("sockets are off");
  const { row, owner } = rowOf(flow);
  return createSelector(sockets.select).decide(batchOf([{ cookie: 1, ...row }]), 0, () => owner, "dump") === "yes";
};

describe("of the document's examples", () => {
  test.each<[string, readonly string[], readonly string[]]>([
    [
      "web-server",
      ["443 < 198.51.100.7:50000 nginx", "80 < 10.0.0.9:50000 apache2", "50000 < 198.51.100.7:443 httpd"],
      ["443 < 198.51.100.7:50000 haproxy", "8080 < 198.51.100.7:50000 nginx", "443 < 198.51.100.7:50000"],
    ],
    ["web-server-short", ["443 < 198.51.100.7:50000 nginx"], ["22 < 198.51.100.7:50000 nginx"]],
    [
      "database",
      ["5432 < 10.0.0.9:50000 postgres", "3306 < 10.0.0.9:50000 mysqld", "27017 < 10.0.0.9:50000 mongod"],
      ["5433 < 10.0.0.9:50000 postgres", "5432 < 10.0.0.9:50000 psql"],
    ],
    [
      "microservices",
      ["8080 < 10.0.0.9:50000", "50000 < 172.16.3.4:9000", "3500 < 192.168.1.1:50000"],
      ["8080 < 198.51.100.7:50000", "443 < 10.0.0.9:50000", "50000 < 172.32.0.1:9000"],
    ],
    [
      "edge-server",
      ["443 < 198.51.100.7:50000", "8080 < 198.51.100.7:50000", "50000 < 198.51.100.7:80"],
      ["443 < 10.0.0.9:50000", "443 < 192.168.0.1:50000", "443 < 172.16.0.1:50000", "22 < 198.51.100.7:50000"],
    ],
    ["high-cardinality", ["22 < 10.0.0.9:50000", "22 < 192.168.0.9:50000"], ["22 < 198.51.100.7:50000"]],
    [
      "development",
      ["3000 < 198.51.100.7:50000 node", "50000 < 10.0.0.9:5432 python"],
      ["3000 < 198.51.100.7:50000 ruby", "443 < 198.51.100.7:50000 node"],
    ],
    [
      "structure",
      ["443 < 8.8.8.8:50000 nginx", "50000 < 10.0.0.9:8080 sshd", "8500 < 192.168.0.9:50000 apache2"],
      ["443 < 198.51.100.7:50000 nginx", "22 < 8.8.8.8:50000 nginx", "443 < 8.8.8.8:50000"],
    ],
    ["minimal", ["22 < 198.51.100.7:50000", "443 < 10.0.0.9:50000 nginx"], []],
  ])("%s takes what its heading says", (example, taken, left) => {
    const verdicts = [...taken, ...left].map((flow) => [flow, isTaken(example, flow)]);
    expect(verdicts).toEqual([...taken.map((flow) => [flow, true]), ...left.map((flow) => [flow, false])]);
  });
});
