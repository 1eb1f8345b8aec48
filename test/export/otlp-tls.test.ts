import { copyFile, mkdtemp, rm } from "node:fs/promises";
import type { ServerOptions } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TlsOptions } from "../../src/model/target.ts";
import { after, numbered, useDelivery, values } from "../kit/otlp-delivery.ts";
import { ca, certificateOf, tlsFile } from "../kit/tls-files.ts";

const { clock, destination, lines, receiver } = useDelivery();

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
const mutual: ServerOptions = { ...server, ca, requestCert: true, rejectUnauthorized: true, maxVersion: "TLSv1.2" };

/** Whether one point arrives; the log says why it does not. */
const delivers = async (tls: TlsOptions | undefined, served: ServerOptions = server, host = "127.0.0.1") => {
  const to = await receiver(0, served);
  const from = destination(to.url.replace("127.0.0.1", host), { tls });
  const said = lines.length;
  await from.export(numbered(7));
  await expect.poll(() => from.stats().sentPoints + lines.length - said, { timeout: 5000 }).toBe(1);
  return values(to).length === 1;
};

describe("the certificate of a destination", () => {
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

  test("must have the host's name, or that of server_name_override", async () => {
    const other = certificateOf("other");
    expect(await delivers(options(), other, "localhost")).toBe(false);
    expect(lines[0]).toContain("ERR_TLS_CERT_ALTNAME_INVALID");
    expect(await delivers(options({ serverName: "other.test" }), other)).toBe(true);
    // An address is in no SNI, and is verified all the same.
    expect(await delivers(options({ serverName: "127.0.0.1" }), server, "localhost")).toBe(true);
    expect(await delivers(options({ serverName: "192.0.2.1" }), server, "localhost")).toBe(false);
  });

  test("that has expired is refused", async () => {
    expect(await delivers(options(), certificateOf("expired"))).toBe(false);
    expect(lines[0]).toContain("CERT_HAS_EXPIRED");
  });
});

describe("a destination that wants a certificate", () => {
  test("is shown one", async () => {
    expect(await delivers(options(own), mutual)).toBe(true);
    expect(await delivers(options(own), { ...mutual, maxVersion: "TLSv1.3" })).toBe(true);
  });

  test("is not reached without one, and the log says what to do", async () => {
    expect(await delivers(options(), mutual)).toBe(false);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("if it wants a certificate, name one in export.otlp.tls.cert_file");
  });
});

describe("files that change", () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "sockscope-otlp-tls-"));
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
    await send(2);
    expect(new Set(to.requests.map(({ clientPort }) => clientPort)).size).toBe(1);
    // Within ten seconds nobody looks.
    await copyFile(tlsFile("self.pem"), caFile);
    await send(3);
    expect(values(to)).toEqual([1, 2, 3]);
    clock.advance(11_000);
    await from.export(numbered(4));
    await expect.poll(() => lines, { timeout: 5000 }).toHaveLength(1);
    expect(values(to)).toEqual([1, 2, 3]);
    await copyFile(tlsFile("ca.pem"), caFile);
    clock.advance(11_000);
    await from.flush(after(5000));
    expect(values(to)).toEqual([1, 2, 3, 4]);
    expect(lines[1]).toContain("is back");
  });

  test("and are gone keep requests waiting, with the place in the log", async () => {
    const to = await receiver(0, server);
    const caFile = join(folder, "gone.pem");
    const from = destination(to.url, { tls: options({ caFile }) });
    await from.export(numbered(1));
    await expect
      .poll(() => lines, { timeout: 5000 })
      .toEqual([
        `warn cannot reach the OTLP destination 127.0.0.1:${to.port} (ERR_TLS_FILES ENOENT): requests are queued and retried; check the files of export.otlp.tls`,
      ]);
    await copyFile(tlsFile("ca.pem"), caFile);
    await from.flush(after(5000));
    expect(values(to)).toEqual([1]);
  });
});
