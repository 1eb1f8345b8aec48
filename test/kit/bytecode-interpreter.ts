/**
 * INET_DIAG_REQ_BYTECODE as the kernel reads it (net/ipv4/inet_diag.c), written from its rules and not from our
 * assembler: inet_diag_bc_audit and inet_diag_bc_run, for the conditions that need no privilege.
 */

/** What a program is run on: inet_diag_entry. Addresses in network byte order, 4 bytes of AF_INET (2), 16 of AF_INET6 (10). */
export type Entry = {
  readonly family: 2 | 10;
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly sport: number;
  readonly dport: number;
};

const NOP = 0;
const JMP = 1;
const AUTO = 6;
const ports = new Set([2, 3, 4, 5, 11, 12]);
const hosts = new Set([7, 8]);

const viewOf = (program: Uint8Array): DataView => new DataView(program.buffer, program.byteOffset, program.byteLength);

/** The length that an operation must have, argument included; undefined where the argument does not fit. */
const leastLength = (view: DataView, at: number): number | undefined => {
  const code = view.getUint8(at);
  const rest = view.byteLength - at;
  if (code === NOP || code === JMP || code === AUTO) return 4;
  if (ports.has(code)) return rest >= 8 ? 8 : undefined;
  if (!hosts.has(code) || rest < 12) return undefined;
  const bytes = { 0: 0, 2: 4, 10: 16 }[view.getUint8(at + 4)];
  if (bytes === undefined || rest < 12 + bytes || view.getUint8(at + 5) > 8 * bytes) return undefined;
  return 12 + bytes;
};

/** The places that a walk along `yes` comes to. */
const onChain = (view: DataView, wanted: number): boolean => {
  let at = 0;
  while (at <= view.byteLength) {
    if (at === wanted) return true;
    if (at > wanted || at === view.byteLength) return false;
    const yes = view.getUint8(at + 1);
    if (yes < 4 || yes % 4 !== 0) return false;
    at += yes;
  }
  return false;
};

/** Why the kernel would refuse the program with EINVAL; undefined for a sound one. */
export const auditFault = (program: Uint8Array): string | undefined => {
  const view = viewOf(program);
  const { byteLength } = view;
  if (byteLength === 0 || byteLength % 4 !== 0) return `${byteLength} bytes`;
  let at = 0;
  while (at < byteLength) {
    const rest = byteLength - at;
    const least = leastLength(view, at);
    if (least === undefined) return `operation ${view.getUint8(at)} at ${at}`;
    const [yes, no] = [view.getUint8(at + 1), view.getUint16(at + 2, true)];
    if (view.getUint8(at) !== NOP) {
      if (no < least || no > rest + 4 || no % 4 !== 0) return `no ${no} at ${at}`;
      if (no < rest && !onChain(view, at + no)) return `no ${no} at ${at} is in the middle of an operation`;
    }
    if (yes < least || yes > rest + 4 || yes % 4 !== 0) return `yes ${yes} at ${at}`;
    at += yes;
  }
  return at === byteLength ? undefined : `ends at ${at}`;
};

const bitsEqual = (a: Uint8Array, b: Uint8Array, bits: number): boolean => {
  for (let bit = 0; bit < bits; bit++)
    if ((((a[bit >> 3] as number) ^ (b[bit >> 3] as number)) >> (7 - (bit & 7))) & 1) return false;
  return true;
};

const holds = (view: DataView, at: number, entry: Entry): boolean => {
  const code = view.getUint8(at);
  if (ports.has(code)) {
    const port = view.getUint16(at + 6, true);
    switch (code) {
      case 2:
        return entry.sport >= port;
      case 3:
        return entry.sport <= port;
      case 4:
        return entry.dport >= port;
      case 5:
        return entry.dport <= port;
      case 11:
        return entry.sport === port;
      default:
        return entry.dport === port;
    }
  }
  const [family, prefix, port] = [view.getUint8(at + 4), view.getUint8(at + 5), view.getInt32(at + 8, true)];
  const [address, own] = code === 7 ? [entry.source, entry.sport] : [entry.destination, entry.dport];
  if (port !== -1 && port !== own) return false;
  const wanted = new Uint8Array(view.buffer, view.byteOffset + at + 12);
  if (family === 0) return prefix === 0;
  if (family === entry.family) return bitsEqual(address, wanted, prefix);
  const isMapped =
    entry.family === 10 &&
    address.subarray(0, 10).every((byte) => byte === 0) &&
    address[10] === 255 &&
    address[11] === 255;
  return family === 2 && isMapped && bitsEqual(address.subarray(12), wanted, prefix);
};

/** Whether the kernel reports the socket. Throws for a program that runs out of its bounds. */
export const runProgram = (program: Uint8Array, entry: Entry): boolean => {
  const view = viewOf(program);
  let at = 0;
  while (at < view.byteLength) {
    const code = view.getUint8(at);
    const yes = code === NOP || (code !== JMP && holds(view, at, entry));
    const step = yes ? view.getUint8(at + 1) : view.getUint16(at + 2, true);
    if (step < 4) throw new Error(`a step of ${step} at ${at}`);
    at += step;
  }
  if (at > view.byteLength + 4) throw new Error(`a jump to ${at} of ${view.byteLength}`);
  return at === view.byteLength;
};
