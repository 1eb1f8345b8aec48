import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  EINPROGRESS,
  EPOLLERR,
  EPOLLOUT,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  SOCK_STREAM,
} from "./socket-calls.ts";
import type { DialOrder, Job, Workshop } from "./socket-job.ts";

const types = { stream: SOCK_STREAM, datagram: SOCK_DGRAM, packet: SOCK_SEQPACKET };

/** Starts to connect. Throws `SocketError` where that could not begin. */
export const startDial = (
  order: DialOrder,
  job: Job,
  { calls, encode, now, permits, watch, end, fail }: Workshop,
): void => {
  const { to, type, source, deadline, keep, permit } = order;
  const inet = "path" in to ? undefined : to;

  const connected = (at: number, rtt: number | undefined): void => {
    if (inet !== undefined && calls.metItself(job.fd, inet.port)) return fail(job, "ECONNREFUSED", at);
    end(job, { kind: "connected", startedAt: job.startedAt, at, rtt, fd: keep ? job.fd : undefined });
  };
  const rtt = (): number | undefined => (inet === undefined ? undefined : calls.rtt(job.fd));

  job.ready = (events, at) => {
    const measured = rtt();
    // NB: with a round trip measured the handshake is over, and the error that of a peer that has reset since: whoever
    // uses the connection is to hear of it, and asking for it here would clear it.
    const errno = (events & EPOLLERR) === 0 || measured !== undefined ? 0 : calls.takeError(job.fd);
    if (errno !== 0) fail(job, calls.errnoName(errno), at);
    else connected(at, measured);
  };
  job.expired = (at) => end(job, { kind: "deadline", startedAt: job.startedAt, at });

  job.fd = calls.open(inet === undefined ? AF_UNIX : inet.family === 6 ? AF_INET6 : AF_INET, types[type], 0);
  if (inet !== undefined) calls.bindSource(job.fd, inet.family, source, encode);
  const name = encode(to);
  // Before connect(2), so that nothing stands between it and the wait. A unix socket is connected at once.
  if (inet !== undefined) watch(job, EPOLLOUT);
  job.startedAt = now();
  if (job.startedAt >= deadline || !permits(permit)) return end(job, { kind: "late" });
  const errno = calls.connect(job.fd, name);
  if (errno === EINPROGRESS) return;
  const at = now();
  if (errno !== 0) fail(job, calls.errnoName(errno), at);
  else connected(at, rtt());
};
