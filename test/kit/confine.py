"""Runs a command as systemd would by a unit's settings, as far as that goes without systemd; needs root.

    unshare -m python3 confine.py '{"capabilities": [...], ...}' COMMAND...

The folder `writable` stays so, all else below / is read-only; `proc` is what hidepid is to be; with `user_namespace` the
process has one of its own. What the filter does not allow kills it, where the unit has EPERM: a call that is refused
would otherwise show in nothing. It is compiled by libseccomp, as systemd's is.
"""

import ctypes
import json
import os
import subprocess
import sys

UID = 65534
KILL_PROCESS, ALLOW, ERRNO = 0x8000_0000, 0x7FFF_0000, 0x0005_0000
EAFNOSUPPORT = 97
EQUAL = 4
NEW_USER = 0x1000_0000
families = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}


class Comparison(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def own_user_namespace():
    """Root and our user are themselves in it, and nobody else is."""
    there, ready = os.pipe(), os.pipe()
    me = os.getpid()
    if os.fork() == 0:
        os.read(there[0], 1)
        for kind in ("uid", "gid"):
            with open(f"/proc/{me}/{kind}_map", "w") as file:
                file.write(f"0 0 1\n{UID} {UID} 1\n")
        os.write(ready[1], b"x")
        os._exit(0)
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_USER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    os.write(there[1], b"x")
    os.read(ready[0], 1)
    os.wait()


def load_filter(calls, allowed_families):
    lib = ctypes.CDLL("libseccomp.so.2")
    lib.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(lib.seccomp_init(ctypes.c_uint32(KILL_PROCESS)))

    def rule(action, number, *comparisons):
        array = (Comparison * len(comparisons))(*comparisons)
        return lib.seccomp_rule_add_array(context, ctypes.c_uint32(action), number, len(comparisons), array)

    for name in calls:
        number = lib.seccomp_syscall_resolve_name(name.encode())
        # Calls of other architectures have no number here.
        if name == "socket" or number < 0:
            continue
        if rule(ALLOW, number) != 0:
            raise RuntimeError(f"no rule for {name}")
    socket = lib.seccomp_syscall_resolve_name(b"socket")
    numbers = [families[name] for name in allowed_families]
    for family in range(64):
        rule(ALLOW if family in numbers else ERRNO | EAFNOSUPPORT, socket, Comparison(0, EQUAL, family, 0))
    if lib.seccomp_load(context) != 0:
        raise RuntimeError("the filter is not loaded")


settings, command = json.loads(sys.argv[1]), sys.argv[2:]
if settings.pop("confined", False):
    load_filter(settings["calls"], settings["families"])
    os.execv(command[0], command)

mount("--make-rprivate", "/")
mount("--bind", settings["root"], "/mnt")
mount("--bind", settings["writable"], settings["writable"])
mount("-o", "remount,bind,ro", "/mnt")
mount("-o", "remount,bind,ro", "/")
mount("-t", "proc", "-o", f"hidepid={settings['proc']}", "proc", "/proc")
if settings["user_namespace"]:
    own_user_namespace()
kept = [name.removeprefix("CAP_").lower() for name in settings["capabilities"]]
bound = ",".join(["-all", *(f"+{name}" for name in kept)])
os.chdir("/")
os.execvp(
    "setpriv",
    [
        "setpriv",
        *(f"--re{kind}id={UID}" for kind in ("u", "g")),
        "--clear-groups",
        "--no-new-privs",
        *(f"--{kind}={bound}" for kind in ("inh-caps", "ambient-caps", "bounding-set")),
        sys.executable,
        "/mnt/test/kit/confine.py",
        json.dumps({**settings, "confined": True}),
        *command,
    ],
)
