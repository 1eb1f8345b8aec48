import { familyOf, oneAfterTheOther, overAddresses, type ProbeAddress } from "./addresses.ts";
import { answering, bytesOf, probeBurst } from "./packets.ts";
import type { Probe } from "./run.ts";

/**
 * Sends datagrams, empty ones unless there is something to send, to the host's first address of the family that they
 * can be sent to. With `expect` an answer that matches is `up`, and its absence down; without it any answer is `up`,
 * and silence for `silenceMs`, or until the deadline where that is sooner, `unanswered`. Fails by connect(2), udp(7)
 * and what ICMP errors say (RFC 1122 section 4.1.3.3).
 */
export const probeUdp: Probe<"udp" | "udp4" | "udp6"> = (target, run) => {
  const { port, send = "", expect, source, count, packetIntervalMs, silenceMs } = target;
  const payload = bytesOf(send);
  const accept = answering(expect);
  const each: ProbeAddress = (address, own) =>
    probeBurst(
      own,
      {
        type: "udp",
        to: { ...address, port },
        payload,
        source,
        count,
        packetIntervalMs,
        accept,
        silenceMs: expect === undefined ? silenceMs : undefined,
      },
      {
        silent: (others) => {
          if (expect === undefined) return own.unanswered();
          return others > 0
            ? own.down("unexpected_response", "exchange", `${others} answers did not match`)
            : own.down("read_timeout", "exchange", "no answer");
        },
        detail: (code) => code,
        counted: count > 1,
      },
    );
  return overAddresses(target, familyOf(target.type), run, each, (addresses) => oneAfterTheOther(addresses, run, each));
};
