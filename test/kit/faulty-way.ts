import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** `open`: what is sent arrives. `error`: every connection has the answer 503. `hang`: nothing arrives. A number: later, in ms. */
export type WayState = "open" | "error" | "hang" | number;

const unavailable = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/** A way to a port of this machine on which things go wrong. */
export const startFaultyWay = async (to: number) => {
  let state: WayState = "open";
  const open = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(to, "127.0.0.1");
    const pass = (from: Socket, into: Socket): void => {
      open.add(from);
      from.on("error", () => into.destroy());
      from.on("close", () => {
        open.delete(from);
        into.destroy();
      });
      from.on("data", (bytes) => {
        if (state === "hang") return;
        if (state === "error") {
          near.end(unavailable);
          return;
        }
        setTimeout(() => into.writable && into.write(bytes), state === "open" ? 0 : state);
      });
    };
    pass(near, far);
    pass(far, near);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    port: (server.address() as AddressInfo).port,
    set: (next: WayState): void => {
      state = next;
    },
    /** As when a router forgets them. */
    reset: (): void => {
      for (const socket of open) socket.resetAndDestroy();
    },
    [Symbol.asyncDispose]: async () => {
      server.close();
      for (const socket of open) socket.destroy();
      await once(server, "close");
    },
  };
};

export type FaultyWay = Awaited<ReturnType<typeof startFaultyWay>>;
