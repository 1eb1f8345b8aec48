import type { CgroupInfo } from "../model/owner.ts";

/** A UID, with the `_` that the systemd driver writes for `-`; of a static pod it is a hash without either. */
const pod = /(?:^|-)pod([\da-f]{8}(?:[-_][\da-f]{4}){3}[-_][\da-f]{12}|[\da-f]{32})(?:\.slice)?(?::|$)/;

/** `ID`, `docker-ID.scope`, `cri-containerd-ID.scope`, `crio-ID`, `libpod-ID.scope`, and `SLICE:cri-containerd:ID`. */
const runtimeId = /^(?:(.*)[-:])?([\da-f]{64})(?:\.scope)?$/;

/** Its process watches a container from outside. */
const monitor = /(?:^|[-:])conmon$/;

/** The containers that their manager names instead of numbering. */
const named: readonly RegExp[] = [
  /^lxc\.payload\.(.+)$/,
  /^machine-(.+)\.scope$/,
  /^systemd-nspawn@(.+)\.service$/,
  // A task of Fargate.
  /^([\da-f]{32}-\d+)$/,
];

/** LXC before 4.0, and where it is without a name in its prefix. */
const lxcParent = /^lxc(?:\.payload)?$/;

const unit = /^.+\.(?:service|scope|socket)$/;

/** `\x2d` and the like, which systemd writes into the names of machines. */
const unescapeUnit = (text: string): string =>
  text.replaceAll(/\\x([\da-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));

const containerOf = (element: string, parent: string | undefined): string | undefined => {
  const [, runtime = "", id] = runtimeId.exec(element) ?? [];
  if (id !== undefined) return monitor.test(runtime) ? undefined : id;
  for (const pattern of named) {
    const name = pattern.exec(element)?.[1];
    if (name !== undefined) return unescapeUnit(name);
  }
  return parent !== undefined && lxcParent.test(parent) ? element : undefined;
};

/** The innermost element that says something: a node of kind is a container that holds the pods' ones. */
const innermost = <T>(
  elements: readonly string[],
  read: (element: string, parent: string | undefined) => T | undefined,
): T | undefined => {
  for (let at = elements.length - 1; at >= 0; at--) {
    const found = read(elements[at] ?? "", elements[at - 1]);
    if (found !== undefined) return found;
  }
  return undefined;
};

/**
 * What the path of a cgroup says, by the layouts of systemd, Docker, containerd, CRI-O, Podman, the kubelet, LXC, nspawn,
 * libvirt and ECS. They are met at any depth, since they nest. The unit is spelled as systemctl(1) takes it.
 */
export const parseCgroupPath = (path: string): CgroupInfo => {
  const elements = path.split("/").filter((element) => element !== "");
  return {
    path,
    // systemd puts a `_` before a name that the kernel could take for a file of its own.
    unit: innermost(elements, (element) => (unit.test(element) ? element.replace(/^_/, "") : undefined)),
    containerId: innermost(elements, containerOf),
    podUid: innermost(elements, (element) => pod.exec(element)?.[1]?.replaceAll("_", "-")),
  };
};
