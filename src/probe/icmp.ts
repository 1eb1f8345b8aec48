import { familyOf, oneAfterTheOther, overAddresses, type ProbeAddress } from "./addresses.ts";
import { probeBurst } from "./packets.ts";
import type { Probe } from "./run.ts";

/** As many bytes as ping(8) sends, so that firewalls see what they know. */
const payload = Uint8Array.from({ length: 56 }, (_, index) => index);

const remedies: ReadonlySet<string> = new Set(["EPERM", "EACCES"]);
const remedy =
  "no echo without a permission: put the user's group into the sysctl net.ipv4.ping_group_range, or give sockscope CAP_NET_RAW";

/** Sends echo requests (RFC 792, RFC 4443 section 4) to the host; one that is answered is enough to be up. */
export const probeIcmp: Probe<"icmp" | "icmp4" | "icmp6"> = (target, run) => {
  const { source, count, packetIntervalMs } = target;
  const each: ProbeAddress = (address, own) =>
    probeBurst(
      own,
      {
        type: "icmp",
        to: { ...address, port: 0 },
        payload,
        source,
        count,
        packetIntervalMs,
        accept: () => true,
        silenceMs: undefined,
      },
      {
        silent: () => own.down("read_timeout", "exchange", "no echo reply"),
        detail: (code) => (remedies.has(code) ? `${code}: ${remedy}` : code),
        counted: true,
      },
    );
  return overAddresses(target, familyOf(target.type), run, each, (addresses) => oneAfterTheOther(addresses, run, each));
};
