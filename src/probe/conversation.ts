import { Socket } from "node:net";
import type { Phase, TargetError, Verdict } from "../model/outcome.ts";
import type { Step, TlsOptions } from "../model/target.ts";
import type { Pattern } from "../text/pattern.ts";
import { codeOf, failureOf } from "./errors.ts";
import { bytesOf, patternOf } from "./packets.ts";
import { type Interruption, isTrouble, type Run, type Trouble } from "./run.ts";
import { prepareTls, shakeHands } from "./tls.ts";

type Talk = { readonly tls: TlsOptions | undefined; readonly steps: readonly Step[] };

/** Whether there is something to say once the connection stands. */
export const isConversation = ({ tls, steps }: Talk): boolean => tls !== undefined || steps.length > 0;

/** What of an answer is looked at. */
const mostBytes = 65_536;

/** For each second of matching, seconds until the next: a peer that sends byte by byte costs a tenth of a processor. */
const restOfMatch = 9;

type Heard = "matched" | Trouble;

const trouble = (error: TargetError, detail: string): Trouble => ({ failure: { kind: "down", error }, detail });
const broken = (error: unknown): Trouble => {
  const code = codeOf(error);
  return { failure: failureOf(code, "ip", "exchange"), detail: code };
};

/** The beginning of what came, for people. */
const excerpt = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}...` : text);

/** Waits for what is expected, in what comes from now on. */
const listen = (socket: Socket, matches: Pattern, run: Run): Promise<Heard | Interruption> => {
  let text = "";
  const mismatch = (why: string): Trouble => trouble("unexpected_response", `${why}: ${excerpt(text)}`);
  return run
    .within<Heard>((settle) => {
      let next = 0;
      let timer: NodeJS.Timeout | undefined;
      const match = (): void => {
        timer = undefined;
        const start = run.deps.now();
        if (matches(text)) return settle("matched");
        const end = run.deps.now();
        next = end + restOfMatch * (end - start);
        if (text.length >= mostBytes) settle(mismatch(`no match in the first ${mostBytes} bytes`));
      };
      const onData = (chunk: Buffer): void => {
        const room = mostBytes - text.length;
        text += chunk.toString("latin1", 0, room);
        const waitMs = next - run.deps.now();
        if (waitMs <= 0) match();
        else timer ??= setTimeout(match, waitMs);
      };
      const onEnd = (): void => {
        if (timer !== undefined) match();
        settle(
          text === "" ? trouble("unexpected_eof", "closed without an answer") : mismatch("no match before the end"),
        );
      };
      const onError = (error: Error): void => settle(broken(error));
      socket.on("data", onData).on("end", onEnd).on("close", onEnd).on("error", onError);
      socket.resume();
      return () => {
        clearTimeout(timer);
        socket.pause();
        socket.off("data", onData).off("end", onEnd).off("close", onEnd).off("error", onError);
      };
    })
    .then((heard) => (heard === "deadline" && text !== "" ? mismatch("no match in time") : heard));
};

const send = (socket: Socket, bytes: Uint8Array, run: Run): Promise<"sent" | Trouble | Interruption> =>
  run.within<"sent" | Trouble>((settle) => {
    const onError = (error: Error): void => settle(broken(error));
    socket.on("error", onError);
    socket.write(bytes, (error) => (error instanceof Error ? onError(error) : settle("sent")));
    return () => socket.off("error", onError);
  });

/** What a step ends the run with; undefined where it went well. */
const take = async (socket: Socket, { send: text, expect }: Step, run: Run): Promise<Trouble | undefined> => {
  // In turns: what a server says of itself before it is asked is no answer to what is sent then.
  const done = text === undefined ? "sent" : await send(socket, bytesOf(text), run);
  if (done === "deadline") return trouble("read_timeout", "nothing could be sent");
  const heard = done === "sent" && expect !== undefined ? await listen(socket, patternOf(expect), run) : done;
  if (heard === "deadline") return trouble("read_timeout", "no answer");
  return heard === "sent" || heard === "matched" ? undefined : heard;
};

/** How long the other end has to close its side, too, before the socket is dropped. */
const partingMs = 100;

/**
 * Says goodbye (close_notify of TLS, FIN), and waits until the other end does. Services log an end without it as an
 * error, and so does a kernel that is closed with something unread: it resets.
 */
const part = (socket: Socket, { signal }: Run): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, partingMs);
    signal.addEventListener("abort", done);
    socket.on("close", done).on("error", done).resume().end();
  });

/**
 * Goes through a target's handshake and steps on a connection that stands, and closes it. `host` is what the
 * certificate must be for, undefined of a unix socket.
 */
export const converse = async (
  connection: Socket,
  { tls, steps }: Talk,
  host: string | undefined,
  run: Run,
): Promise<Verdict> => {
  const { now } = run.deps;
  let socket = connection;
  /** The verdict that the phase ends the run with; undefined where it went well. */
  const go = async (phase: Phase, action: () => Promise<Trouble | undefined>): Promise<Verdict | undefined> => {
    const start = now();
    const met = await action();
    if (met !== undefined) return run.ended(met, phase, now() - start);
    run.took(phase, now() - start);
    return undefined;
  };
  try {
    const context = tls === undefined ? undefined : await prepareTls(tls, run);
    if (context !== undefined && isTrouble(context)) return run.ended(context, "tls", 0);
    const secure = async (): Promise<Trouble | undefined> => {
      if (tls === undefined || context === undefined) return undefined;
      const secured = await shakeHands(socket, context, tls, host, run);
      if (!(secured instanceof Socket)) return secured;
      socket = secured;
      return undefined;
    };
    const later = tls === undefined || steps.some(({ starttls }) => starttls);
    let failed = later ? undefined : await go("tls", secure);
    for (const step of steps) {
      // oxlint-disable no-await-in-loop -- a conversation
      failed ??= await go("exchange", () => take(socket, step, run));
      if (step.starttls) failed ??= await go("tls", secure);
      // oxlint-enable no-await-in-loop
    }
    const verdict = failed ?? run.up();
    if (verdict.kind === "up" && !run.signal.aborted) await part(socket, run);
    return verdict;
  } finally {
    // What still comes, an error too, is nobody's.
    for (const each of [socket, connection]) each.on("error", () => undefined).destroy();
  }
};
