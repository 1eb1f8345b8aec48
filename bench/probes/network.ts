import { createNetwork } from "../network.ts";
import { holeNetwork } from "./targets.ts";

/** Where the listener is, on every address of loopback. */
export const port = 8443;

export type Inside = "listener" | "accuracy" | "blackbox" | "holes";

/** The command of a script in `inside/`. */
export const script = (name: Inside, ...args: readonly number[]): string[] => [
  process.execPath,
  new URL(`inside/${name}.ts`, import.meta.url).pathname,
  ...args.map(String),
];

/** A network with a listener, and with an interface that swallows what is sent: nobody asks there whose address it is. */
export const createProbeNetwork = () =>
  createNetwork(
    "ip link add hole type veth peer name nowhere && ip link set hole arp off up && ip link set nowhere up && " +
      `ip route add ${holeNetwork} dev hole`,
  );
