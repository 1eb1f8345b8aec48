import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { request, type IncomingHttpHeaders, type RequestOptions } from "node:http";
import { get as getByTls } from "node:https";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { acceptsGzip, createPage, negotiateFormat, type Page, type PageOptions } from "../../src/export/page.ts";
import { renderPrometheus } from "../../src/export/prometheus-text.ts";
import { FatalError } from "../../src/model/errors.ts";
import type { Snapshot } from "../../src/model/columns.ts";
import { ca, certificateOf, tlsFile } from "../kit/tls-files.ts";
import { parsePage } from "./prometheus-parser.ts";
import { metric, set, snapshot, type Point } from "./snapshots.ts";

const small = snapshot([metric("sockscope.probe.up", [{}, [[set({ "sockscope.probe.name": "a" }), 1]]])], {
  host: "h",
});
const figures = {
  destination: "c:4318",
  queue: { requests: 2, bytes: 300, max_bytes: 1000 },
  sent: { points: 10, bytes: 200 },
  dropped: { queue_full: 1, rejected: 0, refused: 0, expired: 0, too_large: 0, damaged: 0 },
  retries: 3,
  last_success: null,
  last_error: { time: "2026-11-24T12:00:00.000Z", type: "503" },
};
const good = { live: undefined, ready: undefined, healthy: undefined, destinations: [figures] };

const pages: Page[] = [];
const sockets: Socket[] = [];

/** A log of its own for each test: a reader that a test cut off may still be logged during the next one. */
const collectLog = (): { log: PageOptions["log"]; logged: string[] } => {
  const logged: string[] = [];
  return { logged, log: (level, message) => logged.push(`${level} ${message}`) };
};

const open = async (options: Partial<PageOptions> = {}): Promise<Page> => {
  const page = await createPage({
    listen: { host: "127.0.0.1", port: 0 },
    basicAuth: undefined,
    tls: undefined,
    snapshot: () => small,
    health: () => good,
    log: () => {},
    ...options,
  });
  pages.push(page);
  return page;
};

const dial = (page: Page): Socket => {
  const socket = connect(page.address.port, page.address.host);
  socket.on("error", () => {});
  sockets.push(socket);
  return socket;
};

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(pages.splice(0).map((page) => page.close()));
});

type Answer = { status: number | undefined; headers: IncomingHttpHeaders; body: string };

const ask = async (page: Page, path: string, options: RequestOptions = {}, body?: string): Promise<Answer> => {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const outgoing = request({ ...page.address, path, agent: false, ...options }, (response) => {
    text(response).then(
      (received) => resolve({ status: response.statusCode, headers: response.headers, body: received }),
      reject,
    );
  });
  outgoing.on("error", reject);
  outgoing.end(body);
  return promise;
};

describe("/metrics", () => {
  test("is the text format for who asks for nothing special", async () => {
    const { status, headers, body } = await ask(await open(), "/metrics");
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      "content-type": "text/plain; version=0.0.4; charset=utf-8",
      "x-content-type-options": "nosniff",
      "cache-control": "no-store",
    });
    expect(headers).not.toHaveProperty("content-encoding");
    expect(body).toBe([...renderPrometheus(small, "text")].join(""));
  });

  test("is OpenMetrics for Prometheus", async () => {
    const accept =
      "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    const { headers, body } = await ask(await open(), "/metrics?x=1", { headers: { accept } });
    expect(headers["content-type"]).toBe("application/openmetrics-text; version=1.0.0; charset=utf-8");
    expect(parsePage(body, "openmetrics").get("sockscope_probe_up")?.samples[0]?.value).toBe(1);
  });

  test("is compressed for who takes gzip", async () => {
    const page = await open();
    const { promise, resolve } = Promise.withResolvers<{ encoding: string | undefined; bytes: Buffer }>();
    request({ ...page.address, path: "/metrics", agent: false, headers: { "accept-encoding": "gzip" } }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () =>
        resolve({ encoding: response.headers["content-encoding"], bytes: Buffer.concat(chunks) }),
      );
    }).end();
    const { encoding, bytes } = await promise;
    expect(encoding).toBe("gzip");
    expect(gunzipSync(bytes).toString()).toBe([...renderPrometheus(small, "text")].join(""));
  });

  test("is rendered once for scrapers that come at the same time, whether they take gzip or not", async () => {
    let renderings = 0;
    const watched: Snapshot = {
      ...small,
      get metrics() {
        renderings += 1;
        return small.metrics;
      },
    };
    const page = await open({ snapshot: () => watched });
    const encodings = ["gzip", "identity", "gzip", "identity"];
    const answers = await Promise.all(
      encodings.map((encoding) => ask(page, "/metrics", { headers: { "accept-encoding": encoding } })),
    );
    expect(answers.map(({ headers }) => headers["content-encoding"])).toEqual(["gzip", undefined, "gzip", undefined]);
    expect(answers[1]?.body).toBe([...renderPrometheus(small, "text")].join(""));
    expect(answers[3]?.body).toBe(answers[1]?.body);
    expect(renderings).toBe(1);
  });

  test("asks for patience before the first tick", async () => {
    const { status, headers, body } = await ask(await open({ snapshot: () => undefined }), "/metrics");
    expect([status, headers["retry-after"], body]).toEqual([503, "1", "No collection has finished yet.\n"]);
  });

  test("HEAD has the headers and no body", async () => {
    const { status, headers, body } = await ask(await open(), "/metrics", { method: "HEAD" });
    expect([status, headers["content-type"], body]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8", ""]);
  });

  test("a fault of ours is an error in the log and ends the response", async () => {
    const broken = { ...small, metrics: undefined } as unknown as Snapshot;
    const { log, logged } = collectLog();
    await expect(ask(await open({ snapshot: () => broken, log }), "/metrics")).rejects.toThrow(
      /socket hang up|aborted/,
    );
    expect(logged).toEqual(["error the Prometheus page failed"]);
  });
});

describe("health", () => {
  const sick = {
    live: "no tick for 40 s",
    ready: "the first tick\nis not done",
    healthy: "no export for 46 s",
    destinations: [figures],
  };

  test.each(["/livez", "/readyz"])("%s is ok", async (path) => {
    const { status, body } = await ask(await open(), path);
    expect([status, body]).toEqual([200, "ok\n"]);
  });

  test.each([
    ["/livez", "no tick for 40 s\n"],
    ["/readyz", "the first tick is not done\n"],
  ])("%s says why not, in one line", async (path, reason) => {
    const { status, headers, body } = await ask(await open({ health: () => sick }), path);
    expect([status, body]).toEqual([503, reason]);
    expect(headers["content-type"]).toBe("text/plain; charset=utf-8");
  });

  test("/healthz has the destinations as JSON, whether they are well or not", async () => {
    const well = await ask(await open(), "/healthz");
    expect([well.status, well.headers["content-type"]]).toEqual([200, "application/json; charset=utf-8"]);
    expect(JSON.parse(well.body)).toEqual({ status: "ok", destinations: [figures] });
    const ill = await ask(await open({ health: () => ({ ...sick, live: undefined }) }), "/healthz");
    expect(ill.status).toBe(503);
    expect(JSON.parse(ill.body)).toEqual({
      status: "unhealthy",
      reason: "the first tick is not done",
      destinations: [figures],
    });
  });

  test("/healthz has who probes, where there is an election", async () => {
    const page = await open({ health: () => ({ ...good, election: "standing by, one leads" }) });
    const { body } = await ask(page, "/healthz");
    expect(JSON.parse(body)).toEqual({ status: "ok", election: "standing by, one leads", destinations: [figures] });
  });

  test("a collector outage concerns /healthz only", async () => {
    const page = await open({ health: () => ({ ...good, healthy: "no export for 46 s" }) });
    const statuses = await Promise.all(
      ["/livez", "/readyz", "/healthz"].map(async (path) => (await ask(page, path)).status),
    );
    expect(statuses).toEqual([200, 200, 503]);
  });

  test("a health function that throws is a 500 and not the end", async () => {
    const page = await open({
      health: () => {
        throw new Error("boom");
      },
    });
    expect((await ask(page, "/livez")).status).toBe(500);
    expect((await ask(page, "/metrics")).status).toBe(200);
  });
});

describe("a page with a user and a password", () => {
  const basicAuth = { username: "mé", password: "pä:ss wörd" };
  const basic = (credentials: string): string => `Basic ${Buffer.from(credentials).toString("base64")}`;
  const statusOf = async (page: Page, path: string, authorization?: string): Promise<number | undefined> =>
    (await ask(page, path, authorization === undefined ? {} : { headers: { authorization } })).status;

  test("is for who has them", async () => {
    const page = await open({ basicAuth });
    for (const scheme of ["Basic", "basic", "BASIC"]) {
      const authorization = basic("mé:pä:ss wörd").replace("Basic", scheme);
      expect(await statusOf(page, "/metrics", authorization)).toBe(200);
      expect(await statusOf(page, "/", authorization)).toBe(200);
    }
  });

  test.each([
    ["nothing", undefined],
    ["an empty header", ""],
    ["another user", basic("me:pä:ss wörd")],
    ["another password", basic("mé:pä:ss wörd ")],
    ["a part of the password", basic("mé:pä")],
    ["no colon", basic("mé")],
    ["plain text", "Basic mé:pä"],
    ["no base64", "Basic %%%"],
    ["another scheme", basic("mé:pä:ss wörd").replace("Basic", "Bearer")],
    ["other bytes", `Basic ${Buffer.from("mé:pä:ss wörd", "latin1").toString("base64")}`],
  ])("%s is refused, and nothing of it is logged", async (_, authorization) => {
    const { log, logged } = collectLog();
    const page = await open({ basicAuth, log });
    const headers = authorization === undefined ? {} : { authorization: Buffer.from(authorization).toString("latin1") };
    for (const path of ["/metrics", "/", "/nope"]) {
      const reply = await ask(page, path, { headers });
      expect([path, reply.status, reply.headers["www-authenticate"], reply.body]).toEqual([
        path,
        401,
        'Basic realm="sockscope", charset="UTF-8"',
        "a user and a password are needed\n",
      ]);
    }
    expect(logged).toEqual([]);
  });

  test("leaves the paths of orchestrators open", async () => {
    const page = await open({ basicAuth });
    for (const path of ["/livez", "/readyz", "/healthz"])
      expect([path, await statusOf(page, path)]).toEqual([path, 200]);
  });

  test("shows the figures of /healthz to those alone who have them", async () => {
    const page = await open({ basicAuth });
    expect(JSON.parse((await ask(page, "/healthz")).body)).toEqual({ status: "ok" });
    const headers = { authorization: basic("mé:pä:ss wörd") };
    expect(JSON.parse((await ask(page, "/healthz", { headers })).body)).toEqual({
      status: "ok",
      destinations: [figures],
    });
  });

  test("without both everybody is let in, with whatever header", async () => {
    expect(await statusOf(await open(), "/metrics", basic("x:y"))).toBe(200);
  });
});

describe("a page with TLS", () => {
  const folder = mkdtempSync(join(tmpdir(), "sockscope-page-"));
  const tls = { certFile: join(folder, "page.pem"), keyFile: join(folder, "page.key") };
  const install = (name: "server" | "self" | "other"): void => {
    copyFileSync(tlsFile(`${name}.pem`), tls.certFile);
    copyFileSync(tlsFile(`${name}.key`), tls.keyFile);
  };
  afterAll(() => rmSync(folder, { recursive: true }));

  /** The body, and whose certificate came with it. */
  const askByTls = async (page: Page, path: string): Promise<{ status: number | undefined; subject: string }> => {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number | undefined; subject: string }>();
    const authorities = [ca, certificateOf("self").cert];
    getByTls(
      { ...page.address, path, agent: false, ca: authorities, checkServerIdentity: () => undefined },
      (response) => {
        const subject = (response.socket as TLSSocket).getPeerX509Certificate()?.fingerprint256 ?? "";
        response.resume().once("end", () => resolve({ status: response.statusCode, subject }));
      },
    ).on("error", reject);
    return promise;
  };
  const fingerprintOf = (name: "server" | "self" | "other"): string =>
    new X509Certificate(certificateOf(name).cert).fingerprint256;

  test("is served by it, and by nothing else", async () => {
    install("server");
    const page = await open({ tls });
    expect(await askByTls(page, "/metrics")).toEqual({ status: 200, subject: fingerprintOf("server") });
    expect((await askByTls(page, "/livez")).status).toBe(200);
    await expect(ask(page, "/livez")).rejects.toThrow(/socket hang up|ECONNRESET/);
    expect((await askByTls(page, "/livez")).status).toBe(200);
  });

  test("uses renewed files, and keeps the old ones while the new ones do not fit", async () => {
    install("server");
    const { log, logged } = collectLog();
    const page = await open({ tls, log, renewalMs: 20 });
    copyFileSync(tlsFile("other.pem"), tls.certFile);
    await expect.poll(() => logged.at(-1)).toMatch(/^warn the page keeps its old certificate: /);
    expect(await askByTls(page, "/livez")).toEqual({ status: 200, subject: fingerprintOf("server") });
    copyFileSync(tlsFile("other.key"), tls.keyFile);
    await expect.poll(() => logged.at(-1)).toBe(`info the page uses the renewed certificate in ${tls.certFile}`);
    expect(await askByTls(page, "/livez")).toEqual({ status: 200, subject: fingerprintOf("other") });
    expect(logged).toHaveLength(2);
    rmSync(tls.keyFile);
    await expect.poll(() => logged.at(-1)).toMatch(/cannot be used \(ENOENT\)$/);
    expect(await askByTls(page, "/livez")).toEqual({ status: 200, subject: fingerprintOf("other") });
  });

  test("files that cannot be used are fatal", async () => {
    install("server");
    copyFileSync(tlsFile("other.key"), tls.keyFile);
    await expect(open({ tls })).rejects.toThrow(/^the files of export\.prometheus\.tls cannot be used: .*mismatch/);
  });

  test("closes while somebody does not even begin the handshake", async () => {
    install("server");
    const page = await open({ tls });
    const silent = dial(page);
    await once(silent, "connect");
    expect((await askByTls(page, "/livez")).status).toBe(200);
    await page.close();
    await expect(askByTls(page, "/livez")).rejects.toThrow("ECONNREFUSED");
  });
});

describe("requests", () => {
  test("the index links to every path", async () => {
    const { status, headers, body } = await ask(await open(), "/");
    expect([status, headers["content-type"]]).toEqual([200, "text/html; charset=utf-8"]);
    expect([...body.matchAll(/href="([^"]*)"/g)].map((match) => match[1])).toEqual([
      "/metrics",
      "/livez",
      "/readyz",
      "/healthz",
    ]);
  });

  test("other methods are refused", async () => {
    const { status, headers, body } = await ask(await open(), "/metrics", { method: "POST" }, "x".repeat(100_000));
    expect([status, headers["allow"], body]).toEqual([405, "GET, HEAD", "only GET and HEAD\n"]);
  });

  test.each(["/nope", "/metrics/", "/__proto__", "//"])(
    "%s is not found, and what there is is listed",
    async (path) => {
      const { status, body } = await ask(await open(), path);
      expect([status, body]).toEqual([404, "not found; there are / /livez /readyz /healthz /metrics\n"]);
    },
  );

  test("a body is ignored", async () => {
    const { status } = await ask(await open(), "/livez", { method: "GET" }, "x".repeat(100_000));
    expect(status).toBe(200);
  });

  test("a connection is kept for the next request", async () => {
    const socket = dial(await open());
    socket.write("GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect((await text(socket)).match(/ok\n/g)).toHaveLength(2);
  });

  test.each([
    ["garbage", "\x16\x03\x01 hello\r\n\r\n", "400"],
    ["endless headers", `GET / HTTP/1.1\r\nHost: x\r\nA: ${"a".repeat(20_000)}\r\n\r\n`, "431"],
  ])("%s gets an error and no more", async (_, bytes, status) => {
    const page = await open();
    const socket = dial(page);
    socket.write(bytes);
    expect(await text(socket)).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect((await ask(page, "/livez")).status).toBe(200);
  });

  test("connections are bounded", async () => {
    const page = await open();
    const held = Array.from({ length: 64 }, () => dial(page));
    await Promise.all(held.map((socket) => new Promise((resolve) => socket.once("connect", resolve))));
    await expect(ask(page, "/livez")).rejects.toThrow(/socket hang up|ECONNRESET/);
    held[0]?.destroy();
    await expect
      .poll(async () => (await ask(page, "/livez").catch(() => undefined))?.status, { timeout: 10_000 })
      .toBe(200);
  });
});

describe("a reader that stops reading a big page", () => {
  const seriesCount = 60_000;
  const bigPage = (): { snap: Snapshot; rendered: () => number } => {
    const points = Array.from({ length: seriesCount }, (_, index): Point => [
      set({ index, filler: "x".repeat(500) }),
      index,
    ]);
    return {
      snap: snapshot([metric("sockscope.flow.count", [{}, points])]),
      rendered: () => points.filter(([series]) => series.labels !== undefined).length,
    };
  };

  test("is waited for without rendering on, holds nobody up, and cannot keep the page from closing", async () => {
    const { snap, rendered } = bigPage();
    const { log, logged } = collectLog();
    const page = await open({ snapshot: () => snap, log });
    const stalled = dial(page);
    stalled.pause();
    stalled.write("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    const settled = async (): Promise<boolean> => {
      const first = rendered();
      await sleep(100);
      return first > 0 && rendered() === first;
    };
    await expect.poll(settled, { timeout: 10_000 }).toBe(true);
    const before = rendered();
    expect(before).toBeLessThan(seriesCount);
    expect((await ask(page, "/livez")).body).toBe("ok\n");
    await sleep(100);
    expect(rendered()).toBe(before);

    const { body } = await ask(page, "/metrics");
    expect(parsePage(body, "text").get("sockscope_flow_count")?.samples).toHaveLength(seriesCount);

    const started = performance.now();
    await page.close();
    expect(performance.now() - started).toBeLessThan(2_000);
    expect(logged.filter((line) => line.startsWith("error"))).toEqual([]);
  });

  test("and goes away is a line for debugging", async () => {
    const { snap, rendered } = bigPage();
    const { log, logged } = collectLog();
    const page = await open({ snapshot: () => snap, log });
    const leaving = dial(page);
    leaving.once("data", () => leaving.destroy());
    leaving.write("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    await expect.poll(() => logged, { timeout: 10_000 }).toEqual(["debug a reader did not take the whole page"]);
    expect(rendered()).toBeLessThan(seriesCount);
  });

  test("the loop turns between the chunks", async () => {
    const { snap } = bigPage();
    const page = await open({ snapshot: () => snap });
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 1);
    await ask(page, "/metrics");
    clearInterval(timer);
    expect(turns).toBeGreaterThan(5);
  });
});

describe("listening", () => {
  test("a port in use is fatal, with the remedy", async () => {
    const { address } = await open();
    await expect(open({ listen: address })).rejects.toThrow(
      new FatalError(
        `cannot listen on 127.0.0.1:${address.port}: the port is in use. Set export.prometheus.listen to another port, or stop what uses it`,
      ),
    );
  });

  test("an address of another machine is fatal, with the remedy", async () => {
    await expect(open({ listen: { host: "192.0.2.1", port: 9464 } })).rejects.toThrow(
      new FatalError(
        "cannot listen on 192.0.2.1:9464: this machine does not have that address. Set export.prometheus.listen to one that it has, as 127.0.0.1 or 0.0.0.0",
      ),
    );
  });

  test("closing twice is closing once", async () => {
    const page = await open();
    await Promise.all([page.close(), page.close()]);
    await expect(ask(page, "/livez")).rejects.toThrow("ECONNREFUSED");
  });
});

describe("negotiation", () => {
  test.each<[string | undefined, "openmetrics" | "text"]>([
    [undefined, "text"],
    ["", "text"],
    ["*/*", "text"],
    ["text/html,application/xhtml+xml,*/*;q=0.8", "text"],
    ["application/json", "text"],
    ["application/openmetrics-text", "openmetrics"],
    ["application/openmetrics-text; version=1.0.0", "openmetrics"],
    ['Application/OpenMetrics-Text;Version="1.0.0"', "openmetrics"],
    ["application/openmetrics-text;version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "text"],
    ["application/openmetrics-text,text/plain", "openmetrics"],
    ["application/openmetrics-text;q=0.4,text/plain;q=0.6", "text"],
    ["application/openmetrics-text;q=0,*/*", "text"],
    ["application/openmetrics-text;q=x", "text"],
    [
      "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;q=0.9",
      "openmetrics",
    ],
  ])("Accept: %s is %s", (accept, format) => {
    expect(negotiateFormat(accept)).toBe(format);
  });

  test.each<[string | undefined, boolean]>([
    [undefined, false],
    ["identity", false],
    ["gzip", true],
    ["br, GZIP;q=0.5", true],
    ["gzip;q=0", false],
    ["*", true],
    ["*;q=0.1, gzip;q=0", false],
  ])("Accept-Encoding: %s is %s", (header, gzip) => {
    expect(acceptsGzip(header)).toBe(gzip);
  });
});
