import { join } from "node:path";
import { startProgram } from "./program.ts";
import { realParts } from "./real-parts.ts";

type Answer = { readonly kvs?: readonly { readonly value: string }[] };

const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** A server of etcd's with its data in the folder. */
export const startEtcd = async (
  folder: string,
  { port = 2379, tls = [] }: { readonly port?: number; readonly tls?: readonly string[] } = {},
) => {
  const url = `${tls.length > 0 ? "https" : "http"}://127.0.0.1:${port}`;
  const peer = `http://127.0.0.1:${port + 1}`;
  const metrics = `http://127.0.0.1:${port + 2}`;
  const args = [
    `--data-dir=${join(folder, "etcd")}`,
    `--listen-client-urls=${url}`,
    `--advertise-client-urls=${url}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    `--listen-metrics-urls=${metrics}`,
    "--unsafe-no-fsync",
    ...tls,
  ];
  const program = await startProgram({ path: realParts.etcd, args }, `${metrics}/health`);
  const ask = async (path: string, body: unknown, token?: string): Promise<Answer> => {
    const headers = token === undefined ? {} : { authorization: token };
    const answer = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
    if (answer.status !== 200) throw new Error(`${path}: ${await answer.text()}`);
    return JSON.parse(await answer.text()) as Answer;
  };
  return {
    ...program,
    url,
    ask,
    get: async (key: string): Promise<string | undefined> => {
      const { kvs: [pair] = [] } = await ask("/v3/kv/range", { key: base64(key) });
      return pair && Buffer.from(pair.value, "base64").toString();
    },
    put: (key: string, value: string) => ask("/v3/kv/put", { key: base64(key), value: base64(value) }),
    remove: (key: string) => ask("/v3/kv/deleterange", { key: base64(key) }),
  };
};

export type Etcd = Awaited<ReturnType<typeof startEtcd>>;
