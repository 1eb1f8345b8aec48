import { connect } from "node:net";
import { codeOf, failureOf } from "./errors.ts";
import type { Probe } from "./run.ts";

/** Connects to the stream socket at the path, and closes. Fails by connect(2) and unix(7). */
export const probeUnix: Probe<"unix"> = async ({ path }, run) => {
  run.address = path;
  const connected = run.begin("connect");
  const result = await run.within<"connected" | { readonly code: string }>((settle) => {
    const socket = connect({ path });
    socket.on("error", (error) => settle({ code: codeOf(error) }));
    socket.on("connect", () => settle("connected"));
    return () => socket.destroy();
  });
  if (result === "cancelled") return run.cancelled();
  if (result === "deadline") return run.failed(failureOf("ETIMEDOUT"), "connect", "ETIMEDOUT");
  if (result !== "connected") return run.failed(failureOf(result.code, "unix"), "connect", result.code);
  connected();
  return run.up();
};
