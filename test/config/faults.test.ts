import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { messageOf } from "./parsing.ts";

const folder = new URL("../fixtures/config/", import.meta.url);

/** What the fixtures that refer to the environment find there. */
const env = { COUNT: "0", WORD: "many", ZERO: "0", A: "a", LINES: "secret-in-the-environment\nx: y" };

/** Each faulty file with all of its faults, without the file's name before them. */
const faults: Readonly<Record<string, readonly string[]>> = {
  "bad-collection-timeout.yaml": ["1:24: collection.timeout: must not be above the interval, 15s (the default)"],
  "bad-comments-only.yaml": ["1:1: the file is empty: write a key, or {} for the defaults"],
  "bad-duplicate-keys.yaml": [
    '1:30: collection.interval: the key "interval" is set twice, first in line 1',
    '7:7: probes.targets[0].name: the key "name" is set twice, first in line 5',
    '8:1: host: the key "host" is set twice, first in line 2',
  ],
  "bad-durations.yaml": [
    "1:25: collection.interval: a duration needs its unit: write 15s for seconds or 15ms for milliseconds",
    "1:38: collection.timeout: a duration needs its unit: write 10s for seconds or 10ms for milliseconds",
    "3:13: probes.interval: must be a duration such as 250ms, 10s, 2m, 1h or 1m30s",
    "4:12: probes.timeout: must be a duration such as 250ms, 10s, 2m, 1h or 1m30s",
    "7:17: probes.targets[0].interval: must be a duration such as 250ms, 10s, 2m, 1h or 1m30s",
    "8:16: probes.targets[0].timeout: must be a duration such as 250ms, 10s, 2m, 1h or 1m30s",
    "9:48: probes.targets[1].timeout: must be a duration such as 250ms, 10s, 2m, 1h or 1m30s",
    "11:20: export.otlp.timeout: must be a duration such as 250ms, 10s, 2m, 1h or 1m30s",
    "11:64: export.otlp.retry_on_failure.max_elapsed_time: a duration needs its unit: write 5s for seconds or 5ms for milliseconds",
  ],
  "bad-empty.yaml": ["1:1: the file is empty: write a key, or {} for the defaults"],
  "bad-endpoint-query.yaml": [
    "1:29: export.otlp.endpoint: must be a base URL without ? and #: /v1/metrics is appended to it",
  ],
  "bad-endpoint-twice.yaml": ["2:38: export.otlp.metrics_endpoint: stands beside endpoint: set one of the two"],
  "bad-endpoints.yaml": [
    "2:21: export.otlp.endpoint: must be the base URL: /v1/metrics is appended to it (metrics_endpoint is used as it is)",
    "3:25: export.prometheus.listen: the port is missing: write host:port",
  ],
  "bad-export.yaml": [
    "3:15: export.otlp.endpoint: must not hold a user or a password: send them as a header, in export.otlp.headers",
    "4:23: export.otlp.metrics_endpoint: must be an http:// or https:// URL, as in http://localhost:4318",
    "5:18: export.otlp.compression: must be gzip or none",
    "7:22: export.otlp.headers.authorization: must be text",
    '8:7: export.otlp.headers["x key"]: is not the name of an HTTP header: letters, digits, - and _ are allowed',
    "9:7: export.otlp.headers.content-type: is a header that sockscope sets itself",
    "10:13: export.otlp.headers.line: must be one line of Latin-1 text without control characters",
    "11:15: export.otlp.headers.number: must be text: put it in quotes",
    "13:7: export.otlp.headers.x-team: is in the map twice: case does not matter in the name of a header",
    "14:25: export.prometheus.listen: the port must be a whole number from 0 to 65535",
  ],
  "bad-list.yaml": ["1:1: must be a map of keys"],
  "bad-lists.yaml": [
    "2:14: sockets.protocols: must name at least one protocol; write sockets: off to read none",
    "3:28: sockets.rtt_histogram.bounds: must hold at least one bound",
  ],
  "bad-null.yaml": ["1:1: the file is empty: write a key, or {} for the defaults"],
  "bad-ranges.yaml": [
    "1:25: collection.interval: must be at least 100ms",
    "2:16: paths.proc: must be an absolute path, as in /proc",
    "2:30: paths.cgroup: must be an absolute path, as in /sys/fs/cgroup",
    "4:13: probes.interval: must be at least 100ms",
    "5:12: probes.timeout: must be at least 1ms",
    "6:16: probes.concurrency: must be a whole number from 1 to 65535",
    "8:15: sockets.max_groups: must be a whole number from 1 to 1000000",
    "9:15: sockets.series_ttl: must be a whole number from 1 to 1000",
    "12:14: export.otlp.timeout: must be at most 168h",
    "13:37: export.otlp.retry_on_failure.multiplier: must be a number from 1 to 100",
    "13:64: export.otlp.retry_on_failure.randomization_factor: must be a number from 0 to 1",
    "13:87: export.otlp.retry_on_failure.max_elapsed_time: must be a duration such as 250ms, 10s, 2m, 1h or 1m30s",
    "14:31: export.otlp.sending_queue.max_mib: must be a whole number from 1 to 65536",
  ],
  "bad-references.yaml": [
    "1:25: collection.interval: the environment variable TICK is not set: set it, or write ${env:TICK:-default} to give it a default",
    "3:16: probes.concurrency: must be a whole number from 1 to 65535",
    "5:7: probes.targets[0]: the environment variable NO_HOST is not set: set it, or write ${env:NO_HOST:-default} to give it a default; the environment variable NO_PORT is not set: set it, or write ${env:NO_PORT:-default} to give it a default",
    '6:7: probes.targets[1]: a "${" that is no reference: write ${env:NAME} or ${env:NAME:-default} for an environment variable, $${ for the text itself',
    '7:7: probes.targets[2]: a "${" that is no reference: write ${env:NAME} or ${env:NAME:-default} for an environment variable, $${ for the text itself',
    "8:24: sockets.max_groups: must be a whole number from 1 to 1000000",
    "8:51: sockets.series_ttl: must be a whole number from 1 to 1000",
    "12:22: export.otlp.headers.authorization: the environment variable NO_TOKEN is not set: set it, or write ${env:NO_TOKEN:-default} to give it a default",
    "13:14: export.otlp.headers.x-key: must be one line of Latin-1 text without control characters",
  ],
  "bad-scalar.yaml": ["1:1: must be a map of keys"],
  "bad-sockets.yaml": [
    "2:20: sockets.protocols[1]: must be tcp, udp, raw, unix, packet, sctp, dccp, mptcp, vsock or netlink",
    "2:26: sockets.protocols[2]: tcp is in the list twice",
    "3:13: sockets.group_by: must be socket, process, endpoint, container, host, or a list of attributes",
    "4:34: sockets.rtt_histogram.bounds[1]: must be above the bound before it",
    "4:40: sockets.rtt_histogram.bounds[2]: must be above the bound before it",
    "4:46: sockets.rtt_histogram.bounds[3]: must be a number of seconds above 0, as in 0.005",
    "4:50: sockets.rtt_histogram.bounds[4]: must be a number of seconds above 0, as in 0.005",
    "4:53: sockets.rtt_histogram.bounds[5]: must be a number of seconds above 0, as in 0.005",
  ],
  "bad-target-attributes.yaml": [
    '6:9: probes.targets[0].attributes["server.port"]: is an attribute that sockscope sets itself: choose another name',
    '7:9: probes.targets[0].attributes["server.address"]: is an attribute that sockscope sets itself: choose another name',
    '8:9: probes.targets[0].attributes["network.transport"]: is an attribute that sockscope sets itself: choose another name',
    '9:9: probes.targets[0].attributes["error.type"]: is an attribute that sockscope sets itself: choose another name',
    '10:9: probes.targets[0].attributes["sockscope.probe.name"]: is an attribute that sockscope sets itself: choose another name',
    '11:9: probes.targets[0].attributes["sockscope.probe.own"]: is an attribute that sockscope sets itself: choose another name',
    '12:9: probes.targets[0].attributes[""]: an attribute needs a name',
  ],
  "bad-target-names.yaml": [
    "2:12: probes.timeout: must be a duration such as 250ms, 10s, 2m, 1h or 1m30s",
    '5:7: probes.targets[1]: "tcp://a.internal:1" is the name of probes.targets[0] too: give each target a name of its own',
    '7:15: probes.targets[3].name: "b" is the name of probes.targets[2] too: give each target a name of its own',
    '8:17: probes.targets[4].target: "tcp://a.internal:1" is the name of probes.targets[0] too: give each target a name of its own',
    '9:15: probes.targets[5].name: "tcp://a.internal:1" is the name of probes.targets[0] too: give each target a name of its own',
  ],
  "bad-target-times.yaml": [
    "5:48: probes.targets[0].timeout: must not be above the target's interval, 10s",
    "6:62: probes.targets[1].timeout: must not be above the target's interval, 2s",
    "7:65: probes.targets[2].udp_silence: must not be above the target's timeout, 2s",
    "8:52: probes.targets[3].udp_silence: must not be above the target's timeout, 5s",
    "9:66: probes.targets[4].udp_silence: must not be above the target's timeout, 1s",
    "10:39: probes.targets[5].udp_silence: is for udp, udp4 and udp6 targets only",
  ],
  "bad-targets.yaml": [
    '3:7: probes.targets[0]: "tcp://host:port" is a placeholder: write the host and the port to probe',
    "4:7: probes.targets[1]: must start with a kind (tcp, tcp4, tcp6, udp, udp4, udp6, unix), as in tcp://db.internal:5432",
    '5:7: probes.targets[2]: unknown kind "tpc", did you mean "tcp"? allowed: tcp, tcp4, tcp6, udp, udp4, udp6, unix',
    '6:7: probes.targets[3]: unknown kind "http"; allowed: tcp, tcp4, tcp6, udp, udp4, udp6, unix',
    "7:7: probes.targets[4]: the port is missing: write host:port",
    "8:7: probes.targets[5]: the port must be a whole number from 1 to 65535",
    "9:7: probes.targets[6]: the port must be a whole number from 1 to 65535",
    "10:7: probes.targets[7]: the port must be a whole number from 1 to 65535",
    "11:7: probes.targets[8]: the host is missing: write tcp://host:port",
    "12:7: probes.targets[9]: must end after the port, as in tcp://db.internal:5432",
    "13:7: probes.targets[10]: must not hold a user, as in tcp://db.internal:5432",
    "14:7: probes.targets[11]: the host is neither a name (letters, digits, - and _ between dots) nor an IP address",
    "15:7: probes.targets[12]: the host is not an IPv4 address",
    "16:7: probes.targets[13]: the host is not an IPv6 address; with its port it is written as in [2001:db8::1]:443",
    "17:7: probes.targets[14]: the port is missing: write host:port",
    "18:7: probes.targets[15]: what stands in [ ] is not an IPv6 address",
    "19:7: probes.targets[16]: tcp4 needs an IPv4 address or a name: the host is an IPv6 address, write tcp6",
    "20:7: probes.targets[17]: udp6 needs an IPv6 address or a name: the host is an IPv4 address, write udp4",
    "21:7: probes.targets[18]: a unix socket needs an absolute path, as in unix:///run/app.sock",
    "22:7: probes.targets[19]: the path of a unix socket can have 107 bytes, this one has 112",
    '23:32: probes.targets[20].target: "udp://host:port" is a placeholder: write the host and the port to probe',
    "24:15: probes.targets[21].name: must not be empty",
  ],
  "bad-two-documents.yaml": ["2:1: a second document starts here: a configuration file is one document"],
  "bad-types.yaml": [
    "1:13: collection: must be a map of keys",
    "3:23: resource.attributes.team: must be text, a number, true or false",
    "3:37: resource.attributes.site: must be text, a number, true or false",
    "3:47: resource.attributes.zone: must be text, a number, true or false",
    "4:8: paths: must be a map of keys",
    "7:7: probes.targets[0]: must be a URL such as tcp://db.internal:5432, or a map with the key target",
    "8:7: probes.targets[1]: must be a URL such as tcp://db.internal:5432, or a map with the key target",
    "9:13: probes.targets[2].name: must be text: put it in quotes",
    "11:7: probes.targets[3].target: is missing: it must be a URL such as tcp://db.internal:5432",
    "12:6: probes.targets[4]: must be a URL such as tcp://db.internal:5432, or a map with the key target",
    "13:10: sockets: must be on, off or a map of keys",
    "14:7: host: must be on, off or a map of keys",
    "16:9: export.otlp: must be a map of keys",
    "17:25: export.prometheus.listen: must be host:port, as in 127.0.0.1:9464",
  ],
  "bad-unbuilt-keys.yaml": [
    '1:1: networks: "networks" is not supported by this version of sockscope: remove it',
    '2:10: paths.sys: "sys" is not supported by this version of sockscope: remove it',
    '4:3: probes.targets_file: "targets_file" is not supported by this version of sockscope: list the targets under probes.targets',
    '7:7: probes.targets[0].tls: "tls" is not supported by this version of sockscope: remove it',
    '8:7: probes.targets[0].send: "send" is not supported by this version of sockscope: remove it',
    '9:7: probes.targets[0].expect: "expect" is not supported by this version of sockscope: remove it',
    '10:7: probes.targets[0].attempts: "attempts" is not supported by this version of sockscope: remove it',
    '11:7: probes.targets[0].all_addresses: "all_addresses" is not supported by this version of sockscope: remove it',
    '13:3: sockets.namespaces: "namespaces" is not supported by this version of sockscope: remove it',
    '14:3: sockets.select: "select" is not supported by this version of sockscope: remove it, all sockets are read',
    '15:9: host.netstat: "netstat" is not supported by this version of sockscope: remove it',
    '18:5: export.otlp.tls: "tls" is not supported by this version of sockscope: remove it',
    '19:5: export.otlp.temporality: "temporality" is not supported by this version of sockscope: remove it, the temporality is cumulative',
    '20:22: export.otlp.sending_queue.storage: "storage" is not supported by this version of sockscope: remove it, requests wait in memory',
    '20:37: export.otlp.sending_queue.newest_first: "newest_first" is not supported by this version of sockscope: remove it',
    '21:1: compat: "compat" is not supported by this version of sockscope: remove it',
    '22:1: election: "election" is not supported by this version of sockscope: remove it, each agent runs its own probes',
  ],
  "bad-unbuilt-lists.yaml": [
    '1:42: sockets.group_by[1]: "sockscope.netns" is not supported by this version of sockscope: remove it, one network namespace is read',
    "4:5: export.otlp: a list is not supported by this version of sockscope: write one destination, as a map",
  ],
  "bad-unbuilt-others.yaml": [
    '2:29: export.otlp.protocol: "http/json" is not supported by this version of sockscope: use http/protobuf',
  ],
  "bad-unbuilt-values.yaml": [
    '3:7: probes.targets[0]: "icmp" is not supported by this version of sockscope: use tcp, udp or unix, or remove the target',
    '4:7: probes.targets[1]: "icmp4" is not supported by this version of sockscope: use tcp, udp or unix, or remove the target',
    '5:28: probes.targets[2].target: "icmp6" is not supported by this version of sockscope: use tcp, udp or unix, or remove the target',
    '6:7: probes.targets[3]: "unixgram" is not supported by this version of sockscope: use tcp, udp or unix, or remove the target',
    '7:7: probes.targets[4]: "unixpacket" is not supported by this version of sockscope: use tcp, udp or unix, or remove the target',
    '11:21: export.otlp.protocol: "grpc" is not supported by this version of sockscope: use http/protobuf',
    '11:40: export.otlp.compression: "zstd" is not supported by this version of sockscope: use gzip or none',
  ],
  "bad-unknown-keys.yaml": [
    '1:1: colection: unknown key "colection", did you mean "collection"? allowed: collection, resource, paths, probes, sockets, host, export',
    '3:3: collection.intervall: unknown key "intervall", did you mean "interval"? allowed: interval, timeout',
    '8:7: probes.targets[0].timeuot: unknown key "timeuot", did you mean "timeout"? allowed: name, target, interval, timeout, attributes, udp_silence',
    '9:7: probes.targets[0].colour: unknown key "colour"; allowed: name, target, interval, timeout, attributes, udp_silence',
    '10:3: probes.Interval: unknown key "Interval", did you mean "interval"? allowed: interval, timeout, concurrency, targets',
    '12:11: export.otlp.endpiont: unknown key "endpiont", did you mean "endpoint"? allowed: endpoint, metrics_endpoint, protocol, compression, headers, timeout, retry_on_failure, sending_queue',
    '12:64: export.otlp.retry_on_failure.max_intervals: unknown key "max_intervals", did you mean "max_interval"? allowed: initial_interval, multiplier, randomization_factor, max_interval, max_elapsed_time',
    '13:3: export[""]: unknown key ""; allowed: otlp, prometheus',
  ],
  "bad-yaml-features.yaml": [
    "1:13: collection: no anchor stands before this alias: put text that starts with * in quotes",
    "2:31: unknown tag, or a tag that does not fit its value: remove it",
    "3:14: paths: << needs an alias of a map, or a list of them",
    "4:25: host.sockstat: the alias stands inside of what it refers to",
    "7:22: probes.targets[0].target: must start with a kind (tcp, tcp4, tcp6, udp, udp4, udp6, unix), as in tcp://db.internal:5432",
    "7:40: probes.targets[0].interval: a duration needs its unit: write 5s for seconds or 5ms for milliseconds",
    "10:9: a key must be text",
    "11:16: probes.targets[4]: must be text, a number, true or false: remove the tag",
    "12:24: unknown tag, or a tag that does not fit its value: remove it",
    "12:30: sockets.max_groups: must be a whole number from 1 to 1000000",
    "12:33: sockets.__proto__: cannot be a key",
  ],
};

describe("faulty files", () => {
  test("each has its row", () => {
    expect(Object.keys(faults).sort()).toEqual(
      readdirSync(folder)
        .filter((name) => name.startsWith("bad-"))
        .sort(),
    );
  });

  test.each(Object.entries(faults))("%s", (name, expected) => {
    const text = readFileSync(new URL(name, folder), "utf8");
    const message = messageOf(text, env, name);
    expect(message.split("\n")).toEqual(expected.map((fault) => `${name}:${fault}`));
    expect(message).not.toContain("secret");
  });
});
