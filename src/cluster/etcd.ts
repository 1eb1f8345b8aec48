import { type Found, LeaseError, type ReadLease, type WriteLease } from "../model/lease.ts";
import { fieldOf, type JsonAnswer, JsonClient, type JsonClientOptions, saidIn } from "./json-client.ts";
import { parseRecord, recordText } from "./record-json.ts";

export type EtcdOptions = Omit<JsonClientOptions, "name"> & {
  /** A secret with its password. */
  readonly credentials: { readonly username: string; readonly password: string } | undefined;
};

const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** A pair of key and value as the gateway has it: 64-bit numbers are text, bytes base64. */
const foundOf = (pair: unknown): Found | undefined => {
  const [version, value] = [fieldOf(pair, "mod_revision"), fieldOf(pair, "value")];
  if (typeof version !== "string") return undefined;
  return {
    version,
    record: typeof value === "string" ? parseRecord(Buffer.from(value, "base64").toString()) : undefined,
  };
};

const listOf = (body: unknown, name: string): readonly unknown[] => {
  const list = fieldOf(body, name);
  return Array.isArray(list) ? list : [];
};

const namesUser = "set election.username and election.password to those of a user of etcd";
const remedies: Readonly<Record<number, string>> = {
  401: namesUser,
  403: "the user of election.username needs a role that may read and write",
};

/**
 * Keys of etcd, over its JSON gateway (https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/). A key is compared by its
 * last revision and put in one transaction. It hangs on no lease of etcd's: one that etcd lets end by its own clock looks
 * like one that somebody has deleted, after which nobody knows who still probes.
 */
export const createEtcd = ({ credentials, ...options }: EtcdOptions) => {
  const client = new JsonClient({ ...options, name: "etcd" });
  let token: string | undefined;

  const refused = ({ status, body }: JsonAnswer, where: string, key: string, remedy = remedies[status]): LeaseError => {
    const about = status === 403 ? ` ${key}` : "";
    return new LeaseError(
      `${where} answers ${status}${saidIn(body)}${remedy === undefined ? "" : ` (${remedy}${about})`}`,
    );
  };

  const authenticate = async (signal: AbortSignal): Promise<string> => {
    const { where } = client;
    const body = { name: credentials?.username, password: credentials?.password };
    const answer = await client.send({ method: "POST", path: "/v3/auth/authenticate", body }, signal);
    const given = fieldOf(answer.body, "token");
    if (answer.status !== 200 || typeof given !== "string") throw refused(answer, where, "", namesUser);
    return given;
  };

  const ask = async (path: string, body: unknown, key: string, signal: AbortSignal): Promise<unknown> => {
    for (let attempt = 1; ; attempt++) {
      if (credentials !== undefined) token ??= await authenticate(signal);
      const { where } = client;
      const headers = token === undefined ? {} : { authorization: token };
      const answer = await client.send({ method: "POST", path, headers, body }, signal);
      if (answer.status === 200) return answer.body;
      // A token ends, and those of a changed set of users are refused as an invalid argument.
      const isStale = token !== undefined && (answer.status === 401 || answer.status === 400);
      token = undefined;
      if (!isStale || attempt === 2) throw refused(answer, where, key);
    }
  };

  return {
    /** What the backend is called in messages. */
    get where(): string {
      return client.where;
    },
    read:
      (key: string): ReadLease =>
      async (signal) =>
        foundOf(listOf(await ask("/v3/kv/range", { key: base64(key) }, key, signal), "kvs")[0]),
    write:
      (key: string): WriteLease =>
      async (record, expected, signal) => {
        const compare = [{ key: base64(key), target: "MOD", result: "EQUAL", mod_revision: expected ?? "0" }];
        const success = [{ request_put: { key: base64(key), value: base64(recordText(record)) } }];
        const answer = await ask("/v3/kv/txn", { compare, success }, key, signal);
        if (fieldOf(answer, "succeeded") !== true) return "conflict";
        const version = fieldOf(fieldOf(answer, "header"), "revision");
        if (typeof version !== "string") throw new LeaseError(`${client.where} answers without a revision`);
        return { version };
      },
    close: (): void => client.close(),
  };
};
