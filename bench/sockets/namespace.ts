import { createNetwork } from "../network.ts";

/** What a script in `inside/` prints: one JSON value. */
export type Inside = "scale" | "memory" | "selection" | "events" | "owners" | "scan" | "collect";

/** Sockets that `selected` of have this port and network at one end. */
export const selection = { sockets: 50, port: 7777, network: ["127.77.0.0", 16] } as const;

/** Of one process, below the hard limit of open files of some machines, 20,000. */
const socketsOfHolder = 10_000;

export const scriptOf = (name: Inside): string => new URL(`inside/${name}.ts`, import.meta.url).pathname;

/** A network whose sockets the C program `peer` holds and reads. Needs root. */
export const createNamespace = async (peer: string) => {
  const network = await createNetwork();
  const node = (name: Inside, args: readonly (string | number)[]): string[] => [
    process.execPath,
    "--expose-gc",
    scriptOf(name),
    peer,
    ...args.map(String),
  ];
  return {
    run: network.run,
    /** Established loopback sockets, `selected` of them with the selection's port and network at one end. */
    hold: (sockets: number, selected = 0): Promise<AsyncDisposable> => {
      const some = selected > 0 ? [String(selected), String(selection.port)] : [];
      const processes = Math.ceil(sockets / socketsOfHolder);
      return network.start(peer, "hold", String(sockets), String(processes), ...some);
    },
    /** The result of a script, in a process of its own. */
    measure: (name: Inside, ...args: readonly (string | number)[]): unknown =>
      JSON.parse(network.run(...node(name, args))),
    /** The result of a script that first does its part before something happens, and the rest after it. */
    measureAround: async (
      name: Inside,
      args: readonly (string | number)[],
      happens: () => Promise<AsyncDisposable>,
    ): Promise<unknown> => {
      await using script = await network.start(...node(name, args));
      await using _ = await happens();
      const said = script.program.stdout.setEncoding("utf8").toArray();
      script.program.stdin.end();
      return JSON.parse((await said).join(""));
    },
    [Symbol.asyncDispose]: network[Symbol.asyncDispose],
  };
};

export type Namespace = Awaited<ReturnType<typeof createNamespace>>;
