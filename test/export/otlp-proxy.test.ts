import { describe, expect, test } from "vitest";
import type { OtlpConfig, ProxyConfig } from "../../src/model/config.ts";
import { after, freePort, numbered, useDelivery, values } from "../kit/otlp-delivery.ts";
import { startHttpProxy } from "../kit/http-proxy.ts";
import { certificateOf, tlsFile } from "../kit/tls-files.ts";

const { destination, lines, receiver } = useDelivery();

const proxyAt = (port: number, more: Partial<ProxyConfig> = {}): ProxyConfig => ({
  isTls: false,
  authority: `127.0.0.1:${port}`,
  credentials: undefined,
  ...more,
});

// `server` is a certificate of localhost, and the host is one that nothing resolves.
const tls: OtlpConfig["tls"] = {
  caFile: tlsFile("ca.pem"),
  certFile: undefined,
  keyFile: undefined,
  serverName: "localhost",
  insecure: false,
};

const credentials = "user:s3cr3t:x";
const authorization = `Basic ${Buffer.from(credentials).toString("base64")}`;

describe("an HTTP proxy", () => {
  test("is asked for a tunnel to an https:// destination, and sees nothing of what goes through", async () => {
    const to = await receiver(0, certificateOf("server"));
    await using proxy = await startHttpProxy();
    const from = destination(`https://collector.invalid:${to.port}/v1/metrics`, {
      tls,
      proxy: proxyAt(proxy.port, { credentials }),
    });
    for (const value of [1, 2]) await from.export(numbered(value));
    await from.flush(after(5000));
    expect(values(to)).toEqual([1, 2]);
    expect(proxy.requests).toEqual([
      {
        line: `CONNECT collector.invalid:${to.port}`,
        headers: {
          host: `collector.invalid:${to.port}`,
          "user-agent": "sockscope/0.1.0 OTel-OTLP-Exporter-JavaScript/0.301.0",
          "proxy-authorization": authorization,
          connection: expect.any(String),
        },
      },
    ]);
    for (const { headers } of to.requests) expect(headers["proxy-authorization"]).toBeUndefined();
    expect(lines).toEqual([]);
  });

  test("is asked for an IPv6 address in brackets", async () => {
    const to = await receiver(0, certificateOf("server"));
    await using proxy = await startHttpProxy();
    const from = destination(`https://[2001:db8::1]:${to.port}/v1/metrics`, { tls, proxy: proxyAt(proxy.port) });
    await from.export(numbered(1));
    await from.flush(after(5000));
    expect(values(to)).toEqual([1]);
    expect(proxy.requests.map(({ line }) => line)).toEqual([`CONNECT [2001:db8::1]:${to.port}`]);
  });

  test("verifies nothing in the destination's stead", async () => {
    const to = await receiver(0, certificateOf("self"));
    await using proxy = await startHttpProxy();
    const url = `https://collector.invalid:${to.port}/v1/metrics`;
    const from = destination(url, { tls, proxy: proxyAt(proxy.port) });
    await from.export(numbered(1));
    await expect.poll(() => lines, { timeout: 5000 }).toHaveLength(1);
    expect(lines[0]).toContain("check the destination's certificate");
    expect(values(to)).toEqual([]);
  });

  test("is asked for the whole URL of an http:// destination", async () => {
    const to = await receiver();
    await using proxy = await startHttpProxy();
    const from = destination(`http://collector.invalid:${to.port}/v1/metrics?tenant=1`, {
      proxy: proxyAt(proxy.port, { credentials }),
    });
    await from.export(numbered(1));
    await from.flush(after(5000));
    expect(values(to)).toEqual([1]);
    expect(proxy.requests).toHaveLength(1);
    expect(proxy.requests[0]).toMatchObject({
      line: `POST http://collector.invalid:${to.port}/v1/metrics?tenant=1`,
      headers: { host: `collector.invalid:${to.port}`, "proxy-authorization": authorization },
    });
    expect(from.stats().host).toBe(`collector.invalid:${to.port}`);
  });

  test.each([
    [407, "check user and password in HTTPS_PROXY"],
    [403, "check the proxy of HTTPS_PROXY or HTTP_PROXY, or name the host in NO_PROXY"],
  ])("that answers %i to CONNECT keeps requests waiting", async (refuse, remedy) => {
    await using proxy = await startHttpProxy({ refuse });
    const from = destination("https://collector.invalid/v1/metrics", { proxy: proxyAt(proxy.port, { credentials }) });
    await from.export(numbered(1));
    await expect.poll(() => proxy.requests.length, { timeout: 5000 }).toBeGreaterThan(1);
    expect(proxy.requests[0]?.line).toBe("CONNECT collector.invalid:443");
    expect(from.stats()).toMatchObject({ sentPoints: 0, dropped: { refused: 0 } });
    expect(from.stats().queueBytes).toBeGreaterThan(0);
    expect(lines).toEqual([
      `warn cannot reach the OTLP destination collector.invalid:443 (ERR_PROXY status ${refuse}): requests are queued and retried; ${remedy}`,
    ]);
  });

  test.each(["https", "http"])("that is not there is named as the trouble (%s)", async (scheme) => {
    const from = destination(`${scheme}://collector.invalid:9/v1/metrics`, { proxy: proxyAt(await freePort()) });
    await from.export(numbered(1));
    await expect.poll(() => lines, { timeout: 5000 }).toHaveLength(1);
    expect(lines[0]).toContain("(ERR_PROXY ECONNREFUSED)");
  });

  test("of https:// has to be trusted, too", async () => {
    const to = await receiver(0, certificateOf("server"));
    const proxy = proxyAt(to.port, { isTls: true });
    for (const scheme of ["https", "http"]) {
      const said = lines.length;
      const from = destination(`${scheme}://collector.invalid:9/v1/metrics`, { tls, proxy });
      await from.export(numbered(1));
      await expect.poll(() => lines.length - said, { timeout: 5000 }).toBe(1);
      expect(lines.at(-1)).toContain("(ERR_PROXY UNABLE_TO_VERIFY_LEAF_SIGNATURE)");
    }
  });

  test("that never answers ends at the deadline, and leaves no connection behind", async () => {
    await using proxy = await startHttpProxy({ refuse: "hang" });
    const from = destination("https://collector.invalid/v1/metrics", { proxy: proxyAt(proxy.port), timeoutMs: 100 });
    await from.export(numbered(1));
    await expect.poll(() => proxy.requests.length, { timeout: 5000 }).toBeGreaterThan(1);
    expect(lines[0]).toContain("(no answer in 100 ms)");
    await from.shutdown(AbortSignal.abort());
    await expect.poll(() => proxy.open(), { timeout: 5000 }).toBe(0);
  });
});
