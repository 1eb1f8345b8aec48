import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer, type TlsOptions as ServerOptions } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import type { Target, TlsOptions } from "../../src/model/target.ts";
import { runProbe } from "../../src/probe/index.ts";
import { depsOf, foundAt, never, tcpTarget, unixTarget } from "../kit/probe.ts";
import { ca, certificateOf, type CertificateName, tlsFile } from "../kit/tls-files.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

const listening = async (server: Server, path?: string): Promise<number> => {
  servers.push(path === undefined ? server.listen(0, "127.0.0.1") : server.listen(path));
  await once(server, "listening");
  return path === undefined ? (server.address() as AddressInfo).port : 0;
};

const secureServer = (name: CertificateName, more: ServerOptions = {}): Server =>
  createTlsServer({ ...certificateOf(name), ...more }, (socket) => socket.on("error", () => {}).resume()).on(
    "tlsClientError",
    () => {},
  );

const plainServer = (serve: (socket: Socket) => void): Server =>
  createServer((socket) => serve(socket.on("error", () => {})));

const options = (more: Partial<TlsOptions> = {}): TlsOptions => ({
  caFile: tlsFile("ca.pem"),
  certFile: undefined,
  keyFile: undefined,
  serverName: undefined,
  insecure: false,
  ...more,
});

const names = { "good.test": foundAt("127.0.0.1"), localhost: foundAt("127.0.0.1") };

const probe = (port: number, tls: TlsOptions, more: Partial<Target<"tcp">> = {}) =>
  runProbe(tcpTarget("localhost", port, { tls, ...more }), depsOf(names), never);

const years = 365.25 * 86_400;

describe("a TLS handshake", () => {
  test("has a phase of its own, and tells when the first certificate of the chain expires", async () => {
    const port = await listening(secureServer("server"));
    const outcome = await probe(port, options());
    expect(outcome).toEqual({
      kind: "up",
      seconds: expect.any(Number),
      phases: { resolve: expect.any(Number), connect: expect.any(Number), tls: expect.any(Number) },
      address: "127.0.0.1",
      facts: {
        resolved: ["127.0.0.1"],
        tcpRtt: expect.any(Number),
        certificateExpiry: expect.any(Number),
      },
    });
    const { resolve = 0, connect = 0, tls = 0 } = outcome.phases;
    expect(outcome.seconds).toBeCloseTo(resolve + connect + tls, 6);
    const end = Date.UTC(2120, 0, 1) / 1000;
    expect(Math.abs((outcome.facts.certificateExpiry ?? 0) - (end - Date.now() / 1000))).toBeLessThan(60);
  });

  test("checks the name, which is that of SNI, too", async () => {
    let asked: string | false | null = null;
    const server = createTlsServer({ ...certificateOf("server") }, (socket) => {
      asked = socket.servername;
      socket.on("error", () => {}).resume();
    });
    const port = await listening(server);
    expect(await probe(port, options(), { host: "good.test" })).toMatchObject({ kind: "up" });
    await expect.poll(() => asked).toBe("good.test");
    asked = null;
    expect(await probe(port, options({ serverName: "good.test" }))).toMatchObject({ kind: "up" });
    await expect.poll(() => asked).toBe("good.test");
    // An address is in no SNI, and in the certificate.
    expect(await probe(port, options(), { host: "127.0.0.1" })).toMatchObject({ kind: "up" });
    await expect.poll(() => asked).toBe(false);
  });

  test("a certificate for another name is tls_hostname_mismatch", async () => {
    const port = await listening(secureServer("other"));
    expect(await probe(port, options())).toMatchObject({
      kind: "down",
      error: "tls_hostname_mismatch",
      phase: "tls",
      detail: "ERR_TLS_CERT_ALTNAME_INVALID",
    });
    expect(await probe(port, options({ serverName: "other.test" }))).toMatchObject({ kind: "up" });
  });

  test("an expired certificate is tls_certificate_expired, and how long it has been is known", async () => {
    const port = await listening(secureServer("expired"));
    const outcome = await probe(port, options());
    expect(outcome).toMatchObject({
      kind: "down",
      error: "tls_certificate_expired",
      phase: "tls",
      detail: "CERT_HAS_EXPIRED",
    });
    expect(outcome.facts.certificateExpiry).toBeLessThan(-5 * years);
    expect(outcome.phases.tls).toBeUndefined();
  });

  test("a certificate that nobody trusts is tls_certificate_invalid", async () => {
    const self = await listening(secureServer("self"));
    expect(await probe(self, options())).toMatchObject({
      kind: "down",
      error: "tls_certificate_invalid",
      phase: "tls",
      detail: "DEPTH_ZERO_SELF_SIGNED_CERT",
    });
    const unknown = await listening(secureServer("server"));
    expect(await probe(unknown, options({ caFile: undefined }))).toMatchObject({
      kind: "down",
      error: "tls_certificate_invalid",
      detail: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    });
  });

  test("insecure takes any certificate, and still tells of its expiry", async () => {
    const port = await listening(secureServer("expired"));
    const outcome = await probe(port, options({ insecure: true, serverName: "whatever.test" }));
    expect(outcome.kind).toBe("up");
    expect(outcome.facts.certificateExpiry).toBeLessThan(-5 * years);
  });

  test("nothing is sent to a server that is not trusted", async () => {
    let heard = 0;
    const server = createTlsServer({ ...certificateOf("self") }, (socket) =>
      socket.on("error", () => {}).on("data", ({ length }) => (heard += length)),
    );
    const port = await listening(server);
    const steps = [{ send: "secret", expect: "x", starttls: false }];
    expect(await probe(port, options(), { steps })).toMatchObject({ error: "tls_certificate_invalid" });
    await new Promise((done) => setTimeout(done, 50));
    expect(heard).toBe(0);
  });

  test("a client certificate is shown to a server that asks for one", async () => {
    const shown: string[] = [];
    const server = createTlsServer(
      { ...certificateOf("server"), ca, requestCert: true, rejectUnauthorized: true, maxVersion: "TLSv1.2" },
      (socket) => {
        shown.push(String(socket.getPeerCertificate().subject.CN));
        socket.on("error", () => {}).resume();
      },
    ).on("tlsClientError", () => {});
    const port = await listening(server);
    const own = { certFile: tlsFile("client.pem"), keyFile: tlsFile("client.key") };
    expect(await probe(port, options(own))).toMatchObject({ kind: "up" });
    expect(shown).toEqual(["client"]);
    expect(await probe(port, options())).toMatchObject({
      kind: "down",
      error: "tls_handshake_failed",
      phase: "tls",
    });
  });

  test("renewed files are used, and files that are gone are the agent's trouble", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sockscope-tls-"));
    try {
      const caFile = join(folder, "ca.pem");
      await copyFile(tlsFile("ca.pem"), caFile);
      const port = await listening(secureServer("server"));
      let time = 0;
      const deps = { ...depsOf(names), now: () => performance.now() + time };
      const target = tcpTarget("localhost", port, { tls: options({ caFile }) });
      expect(await runProbe(target, deps, never)).toMatchObject({ kind: "up" });
      await copyFile(tlsFile("self.pem"), caFile);
      time = 20_000;
      expect(await runProbe(target, deps, never)).toMatchObject({ error: "tls_certificate_invalid" });
      await rm(caFile);
      time = 40_000;
      expect(await runProbe(target, deps, never)).toMatchObject({
        kind: "not_run",
        error: "_OTHER",
        detail: "the files of tls cannot be used: ENOENT",
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("a server that says nothing is a read_timeout in the phase tls", async () => {
    const port = await listening(plainServer((socket) => socket.resume()));
    expect(await probe(port, options(), { timeoutMs: 200 })).toMatchObject({
      kind: "down",
      error: "read_timeout",
      phase: "tls",
    });
  });

  test("garbage is tls_handshake_failed, an end unexpected_eof, a reset connection_reset", async () => {
    const answers: Record<string, (socket: Socket) => void> = {
      tls_handshake_failed: (socket) => socket.write("SSH-2.0-OpenSSH_9.2\r\n"),
      unexpected_eof: (socket) => socket.once("data", () => socket.end()),
      connection_reset: (socket) => socket.once("data", () => socket.resetAndDestroy()),
    };
    for (const [error, serve] of Object.entries(answers)) {
      // oxlint-disable-next-line no-await-in-loop -- one server after the other
      const port = await listening(plainServer(serve));
      // oxlint-disable-next-line no-await-in-loop -- as above
      expect(await probe(port, options())).toMatchObject({ kind: "down", error, phase: "tls" });
    }
  });

  test("over a unix socket, with the name of the certificate given", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sockscope-tls-"));
    try {
      const path = join(folder, "tls.sock");
      await listening(secureServer("server"), path);
      const target = unixTarget(path, { tls: options({ serverName: "good.test" }) });
      expect(await runProbe(target, depsOf(), never)).toMatchObject({ kind: "up", address: path });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
