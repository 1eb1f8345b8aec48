import { once } from "node:events";
import { createServer, type IncomingMessage, request as forward, type ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { portOf } from "./otlp-delivery.ts";

/** What a proxy was asked for: `CONNECT host:port` or `POST http://host:port/path`, and how. */
export type ProxiedRequest = { readonly line: string; readonly headers: IncomingMessage["headers"] };

/**
 * An HTTP proxy on loopback that takes every host for 127.0.0.1, so that names need not exist. `refuse` is the status of
 * what it lets nobody have; "hang": it never answers.
 */
export const startHttpProxy = async ({ refuse }: { readonly refuse?: number | "hang" } = {}) => {
  const requests: ProxiedRequest[] = [];
  const sockets = new Set<Socket>();
  const note = ({ method, url, headers }: IncomingMessage): void =>
    void requests.push({ line: `${method} ${url}`, headers });

  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    note(request);
    if (refuse === "hang") return;
    if (refuse !== undefined) {
      response.writeHead(refuse).end();
      return;
    }
    const { port, pathname, search } = new URL(request.url ?? "");
    const { method, headers } = request;
    const onward = forward({ host: "127.0.0.1", port, path: pathname + search, method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    }).on("error", () => response.writeHead(502).end());
    request.pipe(onward);
  })
    .on("connection", (socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket)).on("error", () => undefined);
    })
    .on("connect", (request, client) => {
      note(request);
      client.on("error", () => undefined);
      if (refuse === "hang") {
        // Nobody else would see that it ends.
        client.on("end", () => client.end()).resume();
        return;
      }
      if (refuse !== undefined) {
        client.end(`HTTP/1.1 ${refuse} No\r\nContent-Length: 0\r\n\r\n`);
        return;
      }
      const onward = connect(Number(request.url?.split(":").at(-1)), "127.0.0.1", () => {
        client.write("HTTP/1.1 200 Connection established\r\n\r\n");
        client.pipe(onward).pipe(client);
      }).on("error", () => client.end("HTTP/1.1 502 Bad Gateway\r\n\r\n"));
      client.on("close", () => onward.destroy());
    })
    .listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: portOf(server),
    requests: requests as readonly ProxiedRequest[],
    open: () => sockets.size,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
};
