import { echoTypes, encodeEcho, ipv4HeaderBytes, payloadOf } from "./echo.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  EAGAIN,
  EPOLLERR,
  EPOLLIN,
  EPOLLRDHUP,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_SEQPACKET,
  SOL_RAW,
  SocketError,
} from "./socket-calls.ts";
import type { Job, SendOrder, Workshop } from "./socket-job.ts";

/** <linux/icmp.h>, <linux/icmpv6.h>: what is set is filtered out. */
const ICMP_FILTER = 1;
const ICMPV6_FILTER = 1;
const onlyReplies = { 4: onlyType(echoTypes[4].reply, 4), 6: onlyType(echoTypes[6].reply, 32) };

/** What a job looks at before it fails: a peer that floods takes no more of the agent. */
const mostReplies = 64;
const mostBytes = 1_048_576;
/** Packets between two waits, so that no socket keeps the others waiting. */
const packetsOfTurn = 16;
const mostAgeMs = 1000;
/** Refusals of a ping socket that leave a raw socket to be tried: net.ipv4.ping_group_range, or no such protocol. */
const pingRefusals = new Set(["EACCES", "EPERM", "EPROTONOSUPPORT"]);

function onlyType(type: number, bytes: number): Uint8Array {
  const filter = new Uint8Array(bytes).fill(0xff);
  filter[type >> 3] = 0xff & ~(1 << (type & 7));
  return filter;
}

/** Of an echo request and its reply. */
type Echo = {
  readonly family: 4 | 6;
  /** Its socket gets what the peer sends to any program of this host, and with IPv4 the header in front of it. */
  readonly raw: boolean;
  request: Uint8Array;
};

/** Starts to send. `identifiers`: those of the raw sockets' jobs that run. Throws `SocketError`. */
export const startPacket = (
  order: SendOrder,
  job: Job,
  { calls, encode, receiver, now, permits, watch, reply, end, fail }: Workshop,
  identifiers: Set<number>,
): void => {
  const { to, type, payload, source, deadline, permit } = order;
  const inet = "path" in to ? undefined : to;
  const { control } = receiver;
  let sentAt = 0;
  let echo: Echo | undefined;
  let replies = 0;
  let bytes = 0;

  const freeIdentifier = (): number => {
    if (identifiers.size > 0x8000) throw new SocketError("EAGAIN");
    for (;;) {
      const identifier = Math.floor(Math.random() * 0x10000);
      if (!identifiers.has(identifier)) return identifier;
    }
  };

  const openEcho = (family: 4 | 6): void => {
    const [domain, protocol] = family === 4 ? [AF_INET, IPPROTO_ICMP] : [AF_INET6, IPPROTO_ICMPV6];
    try {
      job.fd = calls.open(domain, SOCK_DGRAM, protocol);
      echo = { family, raw: false, request: payload };
    } catch (error) {
      if (!(error instanceof SocketError) || !pingRefusals.has(error.code)) throw error;
      job.fd = calls.open(domain, SOCK_RAW, protocol);
      echo = { family, raw: true, request: payload };
      if (family === 4) calls.setBytes(job.fd, SOL_RAW, ICMP_FILTER, onlyReplies[4]);
      else calls.setBytes(job.fd, IPPROTO_ICMPV6, ICMPV6_FILTER, onlyReplies[6]);
    }
  };

  const identify = ({ raw }: Echo): number => {
    if (!raw) return calls.ownPort(job.fd);
    const identifier = freeIdentifier();
    identifiers.add(identifier);
    job.closed = () => identifiers.delete(identifier);
    return identifier;
  };

  const open = (): void => {
    if (type === "icmp") {
      if (inet === undefined) throw new SocketError("EINVAL");
      return openEcho(inet.family);
    }
    const domain = inet === undefined ? AF_UNIX : inet.family === 6 ? AF_INET6 : AF_INET;
    job.fd = calls.open(domain, type === "packet" ? SOCK_SEQPACKET : SOCK_DGRAM, 0);
    // A name of its own, by autobind (unix(7)), without which the peer could not answer.
    if (type === "datagram" && inet === undefined) calls.bindUnnamed(job.fd);
  };

  /** What is told of a packet; undefined of one that is none of this job's. */
  const contentOf = (packet: Uint8Array): Uint8Array | undefined => {
    if (echo === undefined) return packet;
    const message = echo.raw && echo.family === 4 ? packet.subarray(ipv4HeaderBytes(packet)) : packet;
    return payloadOf(message, echoTypes[echo.family].reply, echo.request);
  };

  const received = (length: number, knownAt: number): void => {
    const content = contentOf(receiver.bytes.subarray(0, length));
    if (content === undefined) return;
    replies++;
    bytes += content.length;
    if (replies > mostReplies || bytes > mostBytes) return fail(job, "EMSGSIZE", knownAt);
    const { ageMs, ttl } = control;
    // The kernel's stamp is on the wall clock, which may be set while the packet waits.
    const stamped = ageMs !== undefined && ageMs >= 0 && ageMs <= mostAgeMs ? now() - ageMs : knownAt;
    const at = Math.max(sentAt, Math.min(knownAt, stamped));
    // Posting copies what a view shows, but the whole of its buffer.
    reply(job, sentAt, { at, bytes: content.slice(), ttl });
  };

  /** An error that came by ICMP. A raw socket hears of those of all packets to its peer, some of them not its own. */
  const errorsRead = (at: number): void => {
    for (let count = 0; count < packetsOfTurn && job.fd >= 0; count++) {
      const length = receiver.receiveError(job.fd);
      if (length < 0) return;
      const own =
        echo?.raw !== true ||
        payloadOf(receiver.bytes.subarray(0, length), echoTypes[echo.family].request, echo.request);
      if (own !== undefined && control.errno !== undefined) fail(job, calls.errnoName(control.errno), at);
    }
  };

  const packetsRead = (events: number, at: number): void => {
    for (let count = 0; count < packetsOfTurn && job.fd >= 0; count++) {
      const length = receiver.receive(job.fd);
      const knownAt = count === 0 ? at : now();
      if (length === 0 && type === "packet" && (events & EPOLLRDHUP) !== 0) fail(job, "EOF", knownAt);
      else if (length >= 0) received(length, knownAt);
      else if (length === -EAGAIN || echo?.raw === true) return;
      else fail(job, calls.errnoName(-length), knownAt);
    }
  };

  job.ready = (events, at) => {
    const errno = (events & EPOLLERR) === 0 ? 0 : calls.takeError(job.fd);
    // First: an answer is one, whatever happened to its sender since.
    packetsRead(events, at);
    if (job.fd < 0) return;
    if (errno !== 0 && echo?.raw !== true) fail(job, calls.errnoName(errno), at);
    else if ((events & EPOLLERR) !== 0) errorsRead(at);
  };
  job.expired = (at) => end(job, { kind: "silence", sentAt, at });

  open();
  receiver.prepare(job.fd);
  if (inet !== undefined) calls.bindSource(job.fd, inet.family, source, encode);
  const name = encode(type === "icmp" && inet !== undefined ? { ...inet, port: 0 } : to);
  job.startedAt = now();
  if (job.startedAt >= deadline || !permits(permit)) return end(job, { kind: "late" });
  const errno = calls.connect(job.fd, name);
  if (errno !== 0) return fail(job, calls.errnoName(errno), now());
  job.phase = "exchange";
  if (type === "udp" && inet !== undefined && calls.metItself(job.fd, inet.port))
    return fail(job, "ECONNREFUSED", now());
  if (echo !== undefined) echo.request = encodeEcho(echoTypes[echo.family].request, identify(echo), payload);
  watch(job, EPOLLIN | EPOLLRDHUP);
  sentAt = now();
  if (!permits(permit)) return end(job, { kind: "late" });
  calls.send(job.fd, echo?.request ?? payload);
};
