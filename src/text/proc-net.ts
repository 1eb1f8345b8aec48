import { notGiven, protocolIndex, resetRow, type SocketBatch } from "../model/socket.ts";
import { AF_INET, AF_INET6, AF_UNIX, TCP_CLOSE, TCP_ESTABLISHED, TCP_LISTEN } from "../netlink/constants.ts";
import { setSubstituteCookie } from "./substitute-cookie.ts";

/** What became of a line. `unwanted`: a header, a blank line, or a socket in a state that was not asked for. */
export type ProcVerdict = "row" | "unwanted" | "skipped";

/** Reads one line as the batch's next row, which needs room for it. `states` is a bitmap of 1 << TCP_x. */
export type ReadProcLine = (line: string, states: number, batch: SocketBatch) => ProcVerdict;

/**
 * A line of /proc/net/tcp, udp and raw, and of their files for IPv6 (tcp4_seq_show() and others of the kernel), in the
 * byte order of the host:
 *
 *     sl: LOCAL:PORT REMOTE:PORT st TX:RX tr:WHEN RETRNSMT uid timeout inode ref pointer ...
 */
const inet = new RegExp(
  "^ *\\d+: ([\\dA-F]{8}|[\\dA-F]{32}):([\\dA-F]{4}) ([\\dA-F]{8}|[\\dA-F]{32}):([\\dA-F]{4}) ([\\dA-F]{2}) " +
    "([\\dA-F]{8}):([\\dA-F]{8}) ([\\dA-F]{2}):[\\dA-F]+ [\\dA-F]+ +(\\d{1,10}) +-?\\d+ (\\d{1,10}) (.*)$",
);
/** TIME_WAIT, in whichever state the connection is meanwhile. */
const timeWaitTimer = 3;

const hex = (text: string | undefined): number => Number.parseInt(text ?? "", 16);

const writeWords = (text: string, words: Uint32Array, at: number): void => {
  for (let word = 0; word * 8 < text.length; word++) words[at + word] = hex(text.slice(word * 8, word * 8 + 8));
};

const header = /^\s*(?:sl|Num)\s/;

const readInetLine =
  (protocol: "tcp" | "udp" | "raw"): ReadProcLine =>
  (line, states, batch) => {
    const match = inet.exec(line);
    if (match === null) return line.trim() === "" || header.test(line) ? "unwanted" : "skipped";
    const [, local = "", localPort, peer = "", peerPort, stateText, tx, rx, timer, uid, inode, more = ""] = match;
    if (local.length !== peer.length) return "skipped";
    const state = hex(stateText);
    if (state > 15) return "skipped";
    if ((states & (1 << state)) === 0) return "unwanted";
    const row = batch.length;
    resetRow(batch, row);
    batch.protocol[row] = protocolIndex[protocol];
    batch.family[row] = local.length === 8 ? AF_INET : AF_INET6;
    batch.state[row] = state;
    batch.localPort[row] = hex(localPort);
    batch.peerPort[row] = hex(peerPort);
    writeWords(local, batch.addresses, row * 8);
    writeWords(peer, batch.addresses, row * 8 + 4);
    batch.rqueue[row] = hex(rx);
    // A listener's backlog is not among the columns.
    batch.wqueue[row] = protocol === "tcp" && state === TCP_LISTEN ? notGiven : hex(tx);
    batch.uid[row] = Number(uid);
    batch.inode[row] = Number(inode);
    if (protocol === "tcp") batch.full[row] = hex(timer) === timeWaitTimer ? 0 : 1;
    else batch.drops[row] = Number(/^\d+ [\da-f]+ (\d+) *$/i.exec(more)?.[1] ?? Number.NaN);
    setSubstituteCookie(batch, row);
    batch.length++;
    return "row";
  };

/**
 * A line of /proc/net/unix (unix_seq_show()), whose flag 0x10000 is a listener and whose state is the one of struct
 * socket, SS_CONNECTED (3) or SS_CONNECTING (2) for what sock_diag has as ESTABLISHED:
 *
 *     Num: RefCount Protocol Flags Type St Inode Path
 */
const unix = /^[\da-f]+: [\dA-F]{8} [\dA-F]{8} ([\dA-F]{8}) ([\dA-F]{4}) ([\dA-F]{2}) +(\d{1,10})(?: (.*))?$/s;
const listeningFlag = 0x10000;

const unixState = (flags: number, socketState: number): number => {
  if ((flags & listeningFlag) !== 0) return TCP_LISTEN;
  return socketState === 2 || socketState === 3 ? TCP_ESTABLISHED : TCP_CLOSE;
};

const readUnixLine: ReadProcLine = (line, states, batch) => {
  const match = unix.exec(line);
  if (match === null) return line.trim() === "" || header.test(line) ? "unwanted" : "skipped";
  const [, flags, type, socketState, inode, path] = match;
  const state = unixState(hex(flags), hex(socketState));
  // A connection that is not accepted has no inode, and sock_diag does not list it either.
  if (Number(inode) === 0 || (states & (1 << state)) === 0) return "unwanted";
  const row = batch.length;
  resetRow(batch, row);
  batch.protocol[row] = protocolIndex.unix;
  batch.family[row] = AF_UNIX;
  batch.type[row] = hex(type);
  batch.state[row] = state;
  batch.inode[row] = Number(inode);
  batch.rqueue[row] = notGiven;
  batch.wqueue[row] = notGiven;
  batch.name[row] = path === undefined || path === "" ? undefined : path;
  setSubstituteCookie(batch, row);
  batch.length++;
  return "row";
};

/** What /proc/net has of a protocol: its files, and how a line of them is read. No line of any text throws. */
export type ProcProtocol = "tcp" | "udp" | "raw" | "unix";
export const procFiles: Readonly<
  Record<ProcProtocol, { readonly files: readonly string[]; readonly read: ReadProcLine }>
> = {
  tcp: { files: ["tcp", "tcp6"], read: readInetLine("tcp") },
  udp: { files: ["udp", "udp6"], read: readInetLine("udp") },
  raw: { files: ["raw", "raw6"], read: readInetLine("raw") },
  unix: { files: ["unix"], read: readUnixLine },
};
