import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Env } from "../../src/config/env.ts";
import { renderEffective } from "../../src/config/effective.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { parseProxy, proxyOf } from "../../src/config/proxy.ts";

const authorityOf = (url: string, env: Env): string | undefined => proxyOf(url, env).proxy?.authority;

describe("the proxy", () => {
  test.each([
    ["http://proxy:3128", { isTls: false, authority: "proxy:3128", credentials: undefined }],
    ["proxy:3128", { isTls: false, authority: "proxy:3128", credentials: undefined }],
    ["https://proxy", { isTls: true, authority: "proxy:443", credentials: undefined }],
    ["http://[2001:db8::1]", { isTls: false, authority: "[2001:db8::1]:80", credentials: undefined }],
    ["http://user:p%40ss:x@proxy/", { isTls: false, authority: "proxy:80", credentials: "user:p@ss:x" }],
    ["user@proxy", { isTls: false, authority: "proxy:80", credentials: "user:" }],
  ])("is, for %s, %j", (text, expected) => {
    expect(parseProxy(text)).toEqual(expected);
  });

  test("is chosen by the scheme of the destination, and may be in lower case", () => {
    const env = { HTTPS_PROXY: "http://secure:1", http_proxy: "http://plain:2" };
    expect(authorityOf("https://h/v1/metrics", env)).toBe("secure:1");
    expect(authorityOf("http://h:4318/v1/metrics", env)).toBe("plain:2");
    expect(authorityOf("https://h/", { https_proxy: "http://lower:3", HTTPS_PROXY: " " })).toBe("lower:3");
    expect(authorityOf("https://h/", { HTTP_PROXY: "http://plain:2" })).toBeUndefined();
    expect(authorityOf("https://h/", {})).toBeUndefined();
  });

  test("is that of https:// for all of gRPC, which goes through a tunnel", () => {
    const env = { HTTPS_PROXY: "http://secure:1", HTTP_PROXY: "http://plain:2" };
    expect(proxyOf("http://h:4317", env, true).proxy?.authority).toBe("secure:1");
    const otlp = parseConfig("export: { otlp: { protocol: grpc, endpoint: 'http://h:4317' } }", "f.yaml", env);
    expect(otlp.config.export.otlp[0]?.proxy?.authority).toBe("secure:1");
  });

  test.each(["localhost", "a.localhost", "127.0.0.1", "127.8.9.10", "[::1]"])("is none to %s", (host) => {
    expect(authorityOf(`http://${host}:4318/`, { HTTP_PROXY: "http://proxy:1" })).toBeUndefined();
  });

  test.each([
    ["*", "h.internal", true],
    ["internal", "h.internal", true],
    ["other, internal", "h.internal", true],
    ["other internal.", "h.INTERNAL", true],
    ["internal", "internal", true],
    [".internal", "h.internal", true],
    [".internal", "internal", false],
    ["*.internal", "h.internal", true],
    ["internal", "hinternal", false],
    ["internal:4318", "h.internal", true],
    ["internal:4317", "h.internal", false],
    ["10.1.2.3", "10.1.2.3", true],
    ["10.1.2.3:4318", "10.1.2.3", true],
    ["10.1.2.3:1", "10.1.2.3", false],
    ["10.0.0.0/8", "10.1.2.3", true],
    ["10.0.0.0/8", "11.1.2.3", false],
    ["10.0.0.0/99", "10.1.2.3", false],
    ["[2001:db8::1]:4318", "[2001:db8::1]", true],
    ["2001:db8::/32", "[2001:db8::1]", true],
    ["2001:db8::1", "[2001:db8::1]", true],
    ["2.3", "10.1.2.3", false],
    ["", "h.internal", false],
    [",", "h.internal", false],
  ])("NO_PROXY=%s, %s: none is %s", (exempt, host, none) => {
    const env = { HTTP_PROXY: "http://proxy:1" };
    const expected = none ? undefined : "proxy:1";
    expect(authorityOf(`http://${host}:4318/`, { ...env, NO_PROXY: exempt })).toBe(expected);
    expect(authorityOf(`http://${host}:4318/`, { ...env, no_proxy: exempt })).toBe(expected);
  });

  test("that is no URL of one is ignored with a warning that does not hold it, where it would be used", () => {
    const env = { HTTPS_PROXY: "socks5://user:secret@proxy", OTEL_EXPORTER_OTLP_ENDPOINT: "https://h:4318" };
    const { config, notes } = parseConfig("{}", "f.yaml", env);
    expect(config.export.otlp[0]?.proxy).toBeUndefined();
    expect(notes).toEqual(["HTTPS_PROXY is ignored: it must be the URL of an HTTP proxy, as in http://proxy:3128."]);
    expect(parseConfig("{}", "f.yaml", { HTTPS_PROXY: "socks5://proxy" }).notes).toEqual([]);
  });

  test("is part of the destination, and of no file", () => {
    const env = { HTTPS_PROXY: "http://user:secret@proxy:1", OTEL_EXPORTER_OTLP_ENDPOINT: "https://h:4318" };
    const { config, notes } = parseConfig("{}", "f.yaml", env);
    expect(config.export.otlp[0]?.proxy).toEqual({ isTls: false, authority: "proxy:1", credentials: "user:secret" });
    expect(notes).toEqual([]);
    expect(renderEffective(config)).not.toMatch(/proxy|secret/);
  });

  test("any text is a proxy or none, and any text of NO_PROXY is read", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string(), (text, exempt) => {
        const { proxy } = proxyOf("http://h.internal:4318/", { HTTP_PROXY: text, NO_PROXY: exempt });
        if (proxy !== undefined) expect(() => new URL(`http://${proxy.authority}`)).not.toThrow();
      }),
      { numRuns: 1000 },
    );
  });
});
