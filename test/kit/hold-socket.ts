import { createServer } from "node:net";

/** Listens on a port of its own, prints it, and waits to be killed. */
const server = createServer().listen(0, "127.0.0.1", () => {
  const address = server.address();
  process.stdout.write(`${typeof address === "object" ? address?.port : address}\n`);
});
