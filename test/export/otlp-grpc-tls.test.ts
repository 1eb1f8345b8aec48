import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { once } from "node:events";
import type { SecureServerOptions } from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { OtlpConfig, ProxyConfig } from "../../src/model/config.ts";
import type { TlsOptions } from "../../src/model/target.ts";
import { startHttpProxy } from "../kit/http-proxy.ts";
import { after, freePort, numbered, portOf, useDelivery, values } from "../kit/otlp-delivery.ts";
import { ca, certificateOf, tlsFile } from "../kit/tls-files.ts";

const { clock, destination: destinationOf, grpcReceiver: receiver, lines } = useDelivery();

const destination = (url: string, config: Partial<OtlpConfig> = {}) =>
  destinationOf(url, { protocol: "grpc", ...config });

const options = (more: Partial<TlsOptions> = {}): TlsOptions => ({
  caFile: tlsFile("ca.pem"),
  certFile: undefined,
  keyFile: undefined,
  serverName: undefined,
  insecure: false,
  ...more,
});

const server = certificateOf("server");
const own = { certFile: tlsFile("client.pem"), keyFile: tlsFile("client.key") };
/** TLS 1.2 refuses a client within the handshake, 1.3 only after it. */
const mutual: SecureServerOptions = {
  ...server,
  ca,
  requestCert: true,
  rejectUnauthorized: true,
  maxVersion: "TLSv1.2",
};

/** Whether one point arrives; the log says why it does not. */
const delivers = async (
  tls: TlsOptions | undefined,
  served: SecureServerOptions = server,
  host = "127.0.0.1",
): Promise<boolean> => {
  const to = await receiver(0, served);
  const from = destination(to.url.replace("127.0.0.1", host), { tls });
  const said = lines.length;
  await from.export(numbered(7));
  await expect.poll(() => from.stats().sentPoints + lines.length - said, { timeout: 5000 }).toBe(1);
  return values(to).length === 1;
};

describe("the certificate of a gRPC destination", () => {
  test("is trusted by ca_file, and by nothing else", async () => {
    expect(await delivers(options())).toBe(true);
    expect(lines).toEqual([]);
    expect(await delivers(options({ caFile: tlsFile("self.pem") }))).toBe(false);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("export.otlp.tls.ca_file names a file of the authorities to trust");
  });

  test("is not trusted without settings, unless nobody looks", async () => {
    expect(await delivers(undefined)).toBe(false);
    expect(await delivers(options({ caFile: undefined, insecure: true }))).toBe(true);
  });

  test("must have the host's name, or that of server_name_override, and be of today", async () => {
    const other = certificateOf("other");
    expect(await delivers(options(), other, "localhost")).toBe(false);
    expect(lines[0]).toContain("ERR_TLS_CERT_ALTNAME_INVALID");
    expect(await delivers(options({ serverName: "other.test" }), other)).toBe(true);
    expect(await delivers(options(), certificateOf("expired"))).toBe(false);
    expect(lines.at(-1)).toContain("CERT_HAS_EXPIRED");
  });
});

describe("a gRPC destination that wants a certificate", () => {
  test("is shown one", async () => {
    expect(await delivers(options(own), mutual)).toBe(true);
    expect(await delivers(options(own), { ...mutual, maxVersion: "TLSv1.3" })).toBe(true);
  });

  test.each(["TLSv1.2", "TLSv1.3"] as const)("is not reached without one (%s), as the log says", async (maxVersion) => {
    expect(await delivers(options(), { ...mutual, maxVersion })).toBe(false);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("if it wants a certificate, name one in export.otlp.tls.cert_file");
  });
});

describe("files of TLS that change", () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "sockscope-grpc-tls-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test("are used without a reload, on a connection of their own", async () => {
    const to = await receiver(0, server);
    const caFile = join(folder, "ca.pem");
    await copyFile(tlsFile("ca.pem"), caFile);
    const from = destination(to.url, { tls: options({ caFile }) });
    const send = async (value: number): Promise<void> => {
      await from.export(numbered(value));
      await from.flush(after(5000));
    };
    await send(1);
    await copyFile(tlsFile("self.pem"), caFile);
    await send(2);
    expect(values(to)).toEqual([1, 2]);
    expect(new Set(to.requests.map(({ clientPort }) => clientPort)).size).toBe(1);
    clock.advance(11_000);
    await from.export(numbered(3));
    await expect.poll(() => lines, { timeout: 5000 }).toHaveLength(1);
    expect(values(to)).toEqual([1, 2]);
    await copyFile(tlsFile("ca.pem"), caFile);
    clock.advance(11_000);
    await from.flush(after(5000));
    expect(values(to)).toEqual([1, 2, 3]);
    expect(lines[1]).toContain("is back");
  });
});

describe("a port that is none of gRPC", () => {
  /** What the log says of a request to it. */
  const saidOf = async (url: string, config: Partial<OtlpConfig> = {}): Promise<string | undefined> => {
    const from = destination(url, config);
    await from.export(numbered(1));
    await expect.poll(() => lines, { timeout: 5000 }).toHaveLength(1);
    expect(from.stats()).toMatchObject({ sentPoints: 0, dropped: { refused: 0 } });
    return lines[0];
  };

  test("speaks TLS", async () => {
    const to = await receiver(0, server);
    expect(await saidOf(to.url.replace("https:", "http:"))).toContain("for a TLS port write https://");
  });

  test("speaks no TLS", async () => {
    const to = await receiver();
    expect(await saidOf(to.url.replace("http:", "https:"))).toContain("write http:// in export.otlp.endpoint");
  });

  test("speaks HTTP/1.1", async () => {
    const to = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"));
    }).listen(0, "127.0.0.1");
    await once(to, "listening");
    expect(await saidOf(`http://127.0.0.1:${portOf(to)}`)).toContain("the one for gRPC is 4317");
    to.close();
  });

  test("speaks HTTP/1.1 by TLS", async () => {
    const to = createHttpsServer(server, (_, response) => response.end()).listen(0, "127.0.0.1");
    await once(to, "listening");
    expect(await saidOf(`https://127.0.0.1:${portOf(to)}`, { tls: options() })).toContain(
      "(ERR_NO_HTTP2): requests are queued and retried; it speaks no gRPC there: of a collector's ports the one for gRPC is 4317",
    );
    to.close();
  });

  test.each(["http", "https"])("says nothing at all (%s)", async (scheme) => {
    const sockets = new Set<Socket>();
    const to = createServer((socket) => {
      sockets.add(socket.resume().on("error", () => undefined));
      socket.on("close", () => sockets.delete(socket));
    }).listen(0, "127.0.0.1");
    await once(to, "listening");
    const from = destination(`${scheme}://127.0.0.1:${portOf(to)}`, { timeoutMs: 150 });
    await from.export(numbered(1));
    await expect.poll(() => lines, { timeout: 5000 }).toHaveLength(1);
    expect(lines[0]).toContain("(no answer in 150 ms)");
    await from.shutdown(AbortSignal.abort());
    await expect.poll(() => sockets.size).toBe(0);
    to.close();
  });

  test("sends what is no HTTP/2 for ever", async () => {
    const to = createServer((socket) => {
      const timer = setInterval(() => socket.write(Buffer.alloc(9, 0xff)), 5);
      socket.on("error", () => undefined).on("close", () => clearInterval(timer));
    }).listen(0, "127.0.0.1");
    await once(to, "listening");
    expect(await saidOf(`http://127.0.0.1:${portOf(to)}`)).toContain("requests are queued and retried");
    to.close();
  });
});

describe("an HTTP proxy on the way to gRPC", () => {
  const credentials = "user:s3cr3t:x";
  const proxyAt = (port: number, more: Partial<ProxyConfig> = {}): ProxyConfig => ({
    isTls: false,
    authority: `127.0.0.1:${port}`,
    credentials: undefined,
    ...more,
  });
  // `server` is a certificate of localhost, and the host is one that nothing resolves.
  const tls = options({ serverName: "localhost" });

  test.each([
    ["http", "collector.invalid"],
    ["https", "collector.invalid"],
    ["https", "[2001:db8::1]"],
  ])("is asked for a tunnel to %s://%s", async (scheme, host) => {
    const to = await receiver(0, scheme === "https" ? server : undefined);
    await using proxy = await startHttpProxy();
    const from = destination(`${scheme}://${host}:${to.port}`, {
      tls: scheme === "https" ? tls : undefined,
      proxy: proxyAt(proxy.port, { credentials }),
    });
    for (const value of [1, 2]) await from.export(numbered(value));
    await from.flush(after(5000));
    expect(values(to)).toEqual([1, 2]);
    expect(proxy.requests).toMatchObject([
      {
        line: `CONNECT ${host}:${to.port}`,
        headers: {
          host: `${host}:${to.port}`,
          "proxy-authorization": `Basic ${Buffer.from(credentials).toString("base64")}`,
        },
      },
    ]);
    for (const { headers } of to.requests) {
      expect(headers[":authority"]).toBe(`${host}:${to.port}`);
      expect(headers["proxy-authorization"]).toBeUndefined();
    }
    expect(lines).toEqual([]);
  });

  test("that is not there, refuses or never answers keeps requests waiting", async () => {
    const said = async (proxy: ProxyConfig, timeoutMs = 5000): Promise<string | undefined> => {
      const before = lines.length;
      const from = destination("http://collector.invalid:4317", { proxy, timeoutMs });
      await from.export(numbered(1));
      await expect.poll(() => lines.length - before, { timeout: 5000 }).toBe(1);
      expect(from.stats().queueBytes).toBeGreaterThan(0);
      await from.shutdown(AbortSignal.abort());
      return lines.at(-1);
    };
    expect(await said(proxyAt(await freePort()))).toContain("(ERR_PROXY ECONNREFUSED)");
    await using refusing = await startHttpProxy({ refuse: 407 });
    expect(await said(proxyAt(refusing.port))).toContain("(ERR_PROXY status 407)");
    await using hanging = await startHttpProxy({ refuse: "hang" });
    expect(await said(proxyAt(hanging.port), 100)).toContain("(no answer in 100 ms)");
    await expect.poll(() => hanging.open(), { timeout: 5000 }).toBe(0);
  });
});
