import type { Verdict } from "../model/outcome.ts";
import type { Source } from "../model/target.ts";
import { failedBy } from "./addresses.ts";
import { converse, isConversation } from "./conversation.ts";
import { answering, bytesOf } from "./packets.ts";
import type { Probe, Run } from "./run.ts";

const nowhere: Source = { address: undefined, interface: undefined };

type Connecting = {
  readonly path: string;
  readonly type: "stream" | "datagram" | "packet";
  readonly keep: boolean;
};

/** Connects; then `then` goes on. Fails by connect(2) and unix(7). */
const connectTo = async (
  { path, type, keep }: Connecting,
  run: Run,
  then: (connection: Parameters<typeof converse>[0]) => Promise<Verdict>,
): Promise<Verdict> => {
  run.address = path;
  const { deadline, deps, signal } = run;
  const dialled = await deps.sockets.dial({ path }, { type, source: nowhere, deadline, keep }, signal);
  switch (dialled.kind) {
    case "cancelled":
      return run.cancelled();
    case "late":
      return run.late();
    case "connected":
      run.took("connect", dialled.at - dialled.startedAt);
      return dialled.connection === undefined ? run.up() : then(dialled.connection);
    case "deadline":
    case "failed":
      run.lost(dialled.at - dialled.startedAt);
      return failedBy(run, dialled.kind === "failed" ? dialled.code : "ETIMEDOUT", "connect", "unix");
  }
  return dialled satisfies never;
};

/** Connects to the stream socket at the path, and goes on as the target says. */
export const probeUnix: Probe<"unix"> = (target, run) =>
  connectTo({ path: target.path, type: "stream", keep: isConversation(target) }, run, (connection) =>
    converse(connection, target, undefined, run),
  );

/**
 * Connects to the datagram or seqpacket socket at the path. What is sent is delivered or refused at once: without
 * `expect` that is all that is asked.
 */
export const probeUnixMessage: Probe<"unixgram" | "unixpacket"> = async (target, run) => {
  const { path, send, expect } = target;
  const type = target.type === "unixgram" ? "datagram" : "packet";
  if (send === undefined) return connectTo({ path, type, keep: false }, run, async () => run.up());
  run.address = path;
  const { deps, signal } = run;
  const deadline = expect === undefined ? Math.min(run.deadline, deps.now() + target.silenceMs) : run.deadline;
  const accept = answering(expect);
  const sent = await deps.sockets.sendPacket(
    { path },
    { type, payload: bytesOf(send), source: nowhere, accept, deadline },
    signal,
  );
  switch (sent.kind) {
    case "cancelled":
      return run.cancelled();
    case "late":
      return run.late();
    case "answered":
      run.took("exchange", sent.reply.at - sent.sentAt);
      return run.up();
    case "silence":
      if (expect === undefined) return run.up();
      run.lost(sent.at - sent.sentAt);
      return sent.others > 0
        ? run.down("unexpected_response", "exchange", `${sent.others} answers did not match`)
        : run.down("read_timeout", "exchange", "no answer");
    case "failed":
      run.lost(sent.at - sent.startedAt);
      return failedBy(run, sent.code, sent.phase, "unix");
  }
  return sent satisfies never;
};
