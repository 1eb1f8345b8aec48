// Preloaded by a test: a sandbox that allows no AF_NETLINK socket, by seccomp(2), as some container runtimes set one up.
const koffi = require("koffi");

const libc = koffi.load(null);
const prctl = libc.func("int prctl(int option, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d)");
const PR_SET_NO_NEW_PRIVS = 38;
const PR_SET_SECCOMP = 22;
const SECCOMP_MODE_FILTER = 2;
const socketCall = { x64: 41, arm64: 198 }[process.arch];
const AF_NETLINK = 16;
const EACCES = 13;

// struct sock_filter { __u16 code; __u8 jt, jf; __u32 k; }
const program = [
  [0x20, 0, 0, 0], // A = nr
  [0x15, 0, 3, socketCall], // not socket(): allow
  [0x20, 0, 0, 16], // A = low word of args[0]
  [0x15, 0, 1, AF_NETLINK], // another family: allow
  [0x06, 0, 0, 0x00050000 | EACCES], // SECCOMP_RET_ERRNO
  [0x06, 0, 0, 0x7fff0000], // SECCOMP_RET_ALLOW
];
const filter = Buffer.alloc(1024);
for (const [at, [code, jt, jf, k]] of program.entries()) {
  filter.writeUInt16LE(code, at * 8);
  filter.writeUInt8(jt, at * 8 + 2);
  filter.writeUInt8(jf, at * 8 + 3);
  filter.writeUInt32LE(k, at * 8 + 4);
}
// struct sock_fprog { unsigned short len; struct sock_filter *filter; }
const fprog = Buffer.alloc(1024);
fprog.writeUInt16LE(program.length, 0);
fprog.writeBigUInt64LE(koffi.address(filter), 8);
if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) !== 0) throw new Error("PR_SET_NO_NEW_PRIVS");
if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, koffi.address(fprog), 0, 0) !== 0) throw new Error("PR_SET_SECCOMP");
