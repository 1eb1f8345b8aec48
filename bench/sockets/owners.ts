import { execFileSync } from "node:child_process";
import { atMost, type Figure, milliseconds, only } from "../bars.ts";
import { createNamespace, scriptOf } from "./namespace.ts";

const sockets = 50_000;
const bar = 10;

type Result = {
  readonly plain: number;
  readonly owned: number;
  readonly ratio: number;
  readonly first: Readonly<Record<"plain" | "owned", number>>;
};

/** What the owners of sockets cost: by cgroup beside a collection without, by process for a scan of open files. */
export const benchOwners = async (peer: string): Promise<Figure[]> => {
  await using namespace = await createNamespace(peer);
  await using _ = await namespace.hold(sockets);
  const { plain, owned, ratio, first } = namespace.measure("owners", sockets) as Result;
  const scan = ["-m", "-n", "-p", "-f", "--kill-child", "--mount-proc", process.execPath, scriptOf("scan")];
  const lines = execFileSync("unshare", scan, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  return [
    atMost(
      `${sockets} sockets with their owners by cgroup: ${milliseconds(owned)} CPU a collection, ` +
        `${((ratio - 1) * 100).toFixed(1)} % above ${milliseconds(plain)} without ` +
        `(the first ${milliseconds(first.owned)} and ${milliseconds(first.plain)})`,
      (ratio - 1) * 100,
      bar,
      "%",
    ),
    ...lines.trim().split("\n").map(only),
  ];
};
