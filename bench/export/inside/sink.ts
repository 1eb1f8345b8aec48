// An OTLP receiver that reads what comes and keeps nothing. Prints its URL; `GET /` gives the bytes since the last time.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

let bytes = 0;
const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
  if (request.method === "GET") {
    response.end(String(bytes));
    bytes = 0;
    return;
  }
  for await (const chunk of request) bytes += (chunk as Buffer).length;
  response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
};
const server = createServer((request, response) => void take(request, response));
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/metrics\n`);
});
process.stdin.on("end", () => process.exit()).resume();
