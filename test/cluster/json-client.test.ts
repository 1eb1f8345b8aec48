import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { JsonClient, saidIn } from "../../src/cluster/json-client.ts";
import { LeaseError } from "../../src/model/lease.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

const serve = async (listener: RequestListener): Promise<string> => {
  const server = createServer(listener);
  await once(server.listen(0, "127.0.0.1"), "listening");
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

const noTls = { caFile: undefined, certFile: undefined, keyFile: undefined, serverName: undefined, insecure: false };

const clientOf = (endpoints: readonly string[], timeoutMs = 5000): JsonClient => {
  const client = new JsonClient({ name: "the backend", endpoints, tls: noTls, timeoutMs });
  closing.push(() => client.close());
  return client;
};

const never = new AbortController().signal;
const question = { method: "POST", path: "/", body: { a: 1 } } as const;

test("what is sent and answered is JSON; whatever else is answered has no body", async () => {
  const url = await serve((request, response) => {
    if (request.method === "POST") request.pipe(response);
    else response.end("<html>");
  });
  const client = clientOf([url]);
  expect(await client.send(question, never)).toEqual({ status: 200, body: { a: 1 } });
  expect(await client.send({ method: "GET", path: "/" }, never)).toEqual({ status: 200, body: undefined });
});

test("after one that fails the next server has its turn", async () => {
  const failing = await serve((_request, response) => response.writeHead(503).end());
  const good = await serve((_request, response) => response.end("{}"));
  const client = clientOf([failing, "http://127.0.0.1:1", good]);
  expect((await client.send(question, never)).status).toBe(503);
  await expect(client.send(question, never)).rejects.toThrow(/^the backend at 127\.0\.0\.1:1 ECONNREFUSED$/);
  expect((await client.send(question, never)).status).toBe(200);
});

test("one that hangs ends in time, one that answers too much is not read to its end", async () => {
  const hanging = await serve(() => undefined);
  await expect(clientOf([hanging], 200).send(question, never)).rejects.toThrow(/did not answer within 0.2 s/);
  const flooding = await serve((_request, response) => {
    const write = (): void => {
      while (response.writable && response.write(Buffer.alloc(65_536, "1")));
    };
    response.on("drain", write).on("error", () => undefined);
    write();
  });
  await expect(clientOf([flooding]).send(question, never)).rejects.toThrow(/answers more than 1048576 bytes/);
});

test("an abort ends it at once", async () => {
  const hanging = await serve(() => undefined);
  const controller = new AbortController();
  const sent = clientOf([hanging]).send(question, controller.signal);
  controller.abort();
  await expect(sent).rejects.toThrow(LeaseError);
});

test("what a server says is one short line", () => {
  expect(saidIn({ message: "no\r\nway" })).toBe(": no way");
  expect(saidIn({ message: "x".repeat(1000) })).toHaveLength(202);
  expect([saidIn(undefined), saidIn([]), saidIn({ message: 7 })]).toEqual(["", "", ""]);
});
