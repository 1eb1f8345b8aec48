import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseCgroupPath } from "../../src/text/cgroup-path.ts";

const id = "0123456789abcdef".repeat(4);
const other = "fedcba9876543210".repeat(4);
const uid = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
const sliceUid = uid.replaceAll("-", "_");
const hash = "0123456789abcdef0123456789abcdef";

type Row = readonly [path: string, says: { unit?: string; containerId?: string; podUid?: string }];

const rows: Readonly<Record<string, readonly Row[]>> = {
  systemd: [
    ["/", {}],
    ["/init.scope", { unit: "init.scope" }],
    ["/system.slice/nginx.service", { unit: "nginx.service" }],
    ["/system.slice/system-getty.slice/getty@tty1.service", { unit: "getty@tty1.service" }],
    ["/system.slice/sshd.socket", { unit: "sshd.socket" }],
    ["/system.slice/docker.service/supervised", { unit: "docker.service" }],
    ["/system.slice/_cpu.service", { unit: "cpu.service" }],
    [
      String.raw`/system.slice/fsck@dev-disk-by\x2duuid.service`,
      { unit: String.raw`fsck@dev-disk-by\x2duuid.service` },
    ],
    ["/user.slice/user-1000.slice/session-3.scope", { unit: "session-3.scope" }],
    ["/user.slice/user-1000.slice/user@1000.service/app.slice/app-editor.service", { unit: "app-editor.service" }],
    ["/user.slice/user-1000.slice/user@1000.service/init.scope", { unit: "init.scope" }],
    ["/user.slice", {}],
    ["/.service", {}],
  ],
  Docker: [
    [`/system.slice/docker-${id}.scope`, { unit: `docker-${id}.scope`, containerId: id }],
    [`/docker/${id}`, { containerId: id }],
    [`/docker/${id}/init.scope`, { containerId: id, unit: "init.scope" }],
    [
      `/user.slice/user-1000.slice/user@1000.service/user.slice/docker-${id}.scope`,
      { unit: `docker-${id}.scope`, containerId: id },
    ],
    [`/docker/${id}/docker/${other}`, { containerId: other }],
    [`/../docker-${id}.scope`, { unit: `docker-${id}.scope`, containerId: id }],
  ],
  Podman: [
    [`/machine.slice/libpod-${id}.scope`, { unit: `libpod-${id}.scope`, containerId: id }],
    [`/machine.slice/libpod-${id}.scope/container`, { unit: `libpod-${id}.scope`, containerId: id }],
    [`/machine.slice/libpod-conmon-${id}.scope`, { unit: `libpod-conmon-${id}.scope` }],
    [`/libpod_parent/libpod-${id}`, { containerId: id }],
    [`/system.slice/web.service/libpod-payload-${id}`, { unit: "web.service", containerId: id }],
    [
      `/machine.slice/machine-libpod_pod_${other}.slice/libpod-${id}.scope/container`,
      { unit: `libpod-${id}.scope`, containerId: id },
    ],
  ],
  "Kubernetes, systemd driver": [
    [
      `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${sliceUid}.slice/cri-containerd-${id}.scope`,
      { unit: `cri-containerd-${id}.scope`, containerId: id, podUid: uid },
    ],
    [
      `/kubepods.slice/kubepods-pod${sliceUid}.slice/crio-${id}.scope`,
      { unit: `crio-${id}.scope`, containerId: id, podUid: uid },
    ],
    [
      `/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${sliceUid}.slice/crio-conmon-${id}.scope`,
      { unit: `crio-conmon-${id}.scope`, podUid: uid },
    ],
    [
      `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${hash}.slice/docker-${id}.scope`,
      { unit: `docker-${id}.scope`, containerId: id, podUid: hash },
    ],
    [`/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${sliceUid}.slice`, { podUid: uid }],
    [
      `/system.slice/containerd.service/kubepods-burstable-pod${sliceUid}.slice:cri-containerd:${id}`,
      { unit: "containerd.service", containerId: id, podUid: uid },
    ],
  ],
  "Kubernetes, cgroupfs driver": [
    [`/kubepods/burstable/pod${uid}/${id}`, { containerId: id, podUid: uid }],
    [`/kubepods/pod${uid}/${id}`, { containerId: id, podUid: uid }],
    [`/kubepods/besteffort/pod${uid}/crio-${id}`, { containerId: id, podUid: uid }],
    [`/kubepods/burstable/pod${hash}/${id}`, { containerId: id, podUid: hash }],
    [`/kubepods/burstable/pod${uid}`, { podUid: uid }],
    ["/kubepods/burstable", {}],
  ],
  "Kubernetes in a container": [
    [
      `/docker/${other}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod${sliceUid}.slice/cri-containerd-${id}.scope`,
      { unit: `cri-containerd-${id}.scope`, containerId: id, podUid: uid },
    ],
    [
      `/system.slice/docker-${other}.scope/kubelet/kubepods/burstable/pod${uid}/${id}`,
      { unit: `docker-${other}.scope`, containerId: id, podUid: uid },
    ],
    [`/docker/${other}/system.slice/kubelet.service`, { unit: "kubelet.service", containerId: other }],
  ],
  "LXC, nspawn and libvirt": [
    ["/lxc.payload.web", { containerId: "web" }],
    ["/lxc.payload.web/system.slice/nginx.service", { unit: "nginx.service", containerId: "web" }],
    ["/lxc.payload/web/init.scope", { unit: "init.scope", containerId: "web" }],
    ["/lxc/101/ns/init.scope", { unit: "init.scope", containerId: "101" }],
    ["/lxc.monitor.web", {}],
    ["/machine.slice/machine-web.scope", { unit: "machine-web.scope", containerId: "web" }],
    [
      "/machine.slice/machine-web.scope/payload/system.slice/nginx.service",
      { unit: "nginx.service", containerId: "web" },
    ],
    [
      String.raw`/machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt/emulator`,
      { unit: String.raw`machine-qemu\x2d1\x2dvm.scope`, containerId: "qemu-1-vm" },
    ],
    ["/machine.slice/systemd-nspawn@web.service/payload", { unit: "systemd-nspawn@web.service", containerId: "web" }],
  ],
  ECS: [
    [`/ecs/${hash}/${id}`, { containerId: id }],
    [`/ecs/${hash}/${hash}-1234567890`, { containerId: `${hash}-1234567890` }],
    [`/ecstasks.slice/ecstasks-${hash}.slice/docker-${id}.scope`, { unit: `docker-${id}.scope`, containerId: id }],
  ],
};

describe.each(Object.entries(rows))("%s", (_, table) => {
  test.each(table)("%s", (path, says) => {
    expect(parseCgroupPath(path)).toEqual({
      path,
      unit: undefined,
      containerId: undefined,
      podUid: undefined,
      ...says,
    });
  });
});

test("any path says something or nothing", () => {
  fc.assert(
    fc.property(fc.string(), (path) => {
      expect(parseCgroupPath(path).path).toBe(path);
    }),
  );
});
