// Accepts what comes to its port on every address of loopback, and closes when the other end does.
//   listener.ts PORT
import { createServer } from "node:net";

const [port = "0"] = process.argv.slice(2);
createServer((socket) => socket.on("error", () => undefined).resume()).listen(
  { port: Number(port), host: "0.0.0.0", backlog: 4096 },
  () => process.stdout.write("ready\n"),
);
process.stdin.on("end", () => process.exit()).resume();
