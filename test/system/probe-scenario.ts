import { writeFileSync } from "node:fs";
import type { Outcome } from "../../src/model/outcome.ts";
import { runProbe } from "../../src/probe/index.ts";
import { depsOf, foundAt, never, tcpTarget, udpTarget } from "../kit/probe.ts";

/** Runs inside the namespace that probe.test.ts makes: only a loopback interface, and no route to anywhere. */
const deps = depsOf({ "name.test": foundAt("2001:db8::1", "192.0.2.1", "127.0.0.1") });
const outcomes: Record<string, Outcome> = {
  tcp4: await runProbe(tcpTarget("192.0.2.1", 80), deps, never),
  tcp6: await runProbe(tcpTarget("2001:db8::1", 80), deps, never),
  several: await runProbe(tcpTarget("name.test", 80), deps, never),
  udp4: await runProbe(udpTarget("192.0.2.1", 53), deps, never),
  udpSeveral: await runProbe(udpTarget("name.test", 53), deps, never),
};

// With so few local ports, the kernel soon takes the target's own: a SYN that meets itself is answered.
writeFileSync("/proc/sys/net/ipv4/ip_local_port_range", "40000 40003");
const met: string[] = [];
for (let time = 0; time < 40; time++) {
  const tcp = await runProbe(tcpTarget("127.0.0.1", 40_000 + (time % 4), { timeoutMs: 1000 }), deps, never);
  const udp = await runProbe(udpTarget("127.0.0.1", 40_000 + (time % 4), { silenceMs: 200 }), deps, never);
  for (const outcome of [tcp, udp]) met.push(outcome.kind === "down" ? outcome.error : outcome.kind);
}
process.stdout.write(JSON.stringify({ outcomes, met: [...new Set(met)] }));
