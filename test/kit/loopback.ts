import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP server on 127.0.0.1 that echoes. */
export const startEcho = async () => {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    socket.pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, "close");
  };
  return { port, close, [Symbol.asyncDispose]: close };
};

/** A connection to 127.0.0.1 that has sent `bytes` and had them back. */
export const openFlow = async (port: number, bytes: number) => {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  let received = 0;
  const echoed = new Promise<void>((resolve) => {
    socket.on("data", (chunk) => {
      received += chunk.length;
      if (received >= bytes) resolve();
    });
  });
  if (bytes > 0) {
    socket.write(Buffer.alloc(bytes, 0x61));
    await echoed;
  }
  const close = async (): Promise<void> => {
    if (socket.destroyed) return;
    socket.destroy();
    await once(socket, "close");
  };
  return { localPort: socket.localPort, close, [Symbol.asyncDispose]: close };
};

/** A port of 127.0.0.1 on which nothing listens. */
export const closedPort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
};
