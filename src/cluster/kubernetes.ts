import { readFile } from "node:fs/promises";
import { codeOf } from "../model/errors.ts";
import { type Found, LeaseError, type LeaseRecord, type ReadLease, type WriteLease } from "../model/lease.ts";
import {
  fieldOf,
  type JsonAnswer,
  JsonClient,
  type JsonClientOptions,
  type JsonRequest,
  saidIn,
} from "./json-client.ts";
import { parseRecord, recordText } from "./record-json.ts";

export type KubernetesOptions = Omit<JsonClientOptions, "name"> & {
  /** A secret; read for each request, since the kubelet puts a new one there before the old one ends. */
  readonly tokenFile: string;
  readonly namespace: string;
};

const annotation = "sockscope/lease";

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

/**
 * The record is an annotation; of the Lease's own fields the holder counts, too, since it is what people edit. A Lease
 * with neither was made for us, so that we need no right to create one.
 */
const recordIn = (lease: unknown): LeaseRecord | undefined => {
  const holder = textOf(fieldOf(fieldOf(lease, "spec"), "holderIdentity"));
  const written = fieldOf(fieldOf(fieldOf(lease, "metadata"), "annotations"), annotation);
  const record = typeof written === "string" ? parseRecord(written) : undefined;
  if (written === undefined && holder === "")
    return { identity: "", session: "", durationMs: 0, term: 0, released: false, rival: "" };
  if (record === undefined || holder === record.identity) return record;
  return { ...record, identity: holder, session: holder === "" ? "" : `edited: ${holder}`, released: false };
};

const foundIn = (lease: unknown): Found => {
  const version = fieldOf(fieldOf(lease, "metadata"), "resourceVersion");
  if (typeof version !== "string") throw new LeaseError("Kubernetes answers with a Lease without resourceVersion");
  return { version, record: recordIn(lease) };
};

const mapOf = (value: unknown): object => (typeof value === "object" && value !== null ? value : {});

/** For people: nobody compares it with a clock. */
const microTime = (): string => new Date().toISOString().replace("Z", "000Z");

const reasonOf = ({ body }: JsonAnswer): string => textOf(fieldOf(body, "reason"));

/** Lease objects of coordination.k8s.io/v1, compared by resourceVersion. */
export const createKubernetes = ({ tokenFile, namespace, ...options }: KubernetesOptions) => {
  const client = new JsonClient({ ...options, name: "Kubernetes" });
  const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
  /** As last seen: what others have put there stays. */
  let metadata: unknown;

  const readToken = async (): Promise<string> => {
    try {
      return (await readFile(tokenFile, "utf8")).trim();
    } catch (error) {
      throw new LeaseError(`the token in ${tokenFile} cannot be read: ${codeOf(error)}`, { cause: error });
    }
  };

  const ask = async (request: JsonRequest, signal: AbortSignal): Promise<JsonAnswer> => {
    const headers = { authorization: `Bearer ${await readToken()}` };
    return client.send({ ...request, headers }, signal);
  };

  const refused = (answer: JsonAnswer, where: string): LeaseError => {
    const { status, body } = answer;
    const remedy =
      status === 403
        ? ` (the service account needs to get, create and update leases in the namespace ${namespace})`
        : "";
    return new LeaseError(`${where} answers ${status}${saidIn(body)}${remedy}`);
  };

  const keep = (lease: unknown): Found => {
    metadata = fieldOf(lease, "metadata");
    return foundIn(lease);
  };

  return {
    get where(): string {
      return client.where;
    },
    read:
      (name: string): ReadLease =>
      async (signal) => {
        const { where } = client;
        const answer = await ask({ method: "GET", path: `${path}/${name}` }, signal);
        if (answer.status === 200) return keep(answer.body);
        // Nothing else that answers 404 says that there is no Lease.
        if (answer.status === 404 && reasonOf(answer) === "NotFound") return undefined;
        throw refused(answer, where);
      },
    write:
      (name: string): WriteLease =>
      async (record, expected, signal) => {
        const now = microTime();
        const known = expected === undefined ? {} : mapOf(metadata);
        const body = {
          apiVersion: "coordination.k8s.io/v1",
          kind: "Lease",
          metadata: {
            ...known,
            name,
            namespace,
            annotations: { ...mapOf(fieldOf(known, "annotations")), [annotation]: recordText(record) },
            ...(expected === undefined ? {} : { resourceVersion: expected }),
          },
          spec: {
            holderIdentity: record.identity,
            leaseDurationSeconds: Math.max(1, Math.ceil(record.durationMs / 1000)),
            renewTime: now,
            leaseTransitions: Math.max(0, record.term - 1),
          },
        };
        const { where } = client;
        const request: JsonRequest =
          expected === undefined ? { method: "POST", path, body } : { method: "PUT", path: `${path}/${name}`, body };
        const answer = await ask(request, signal);
        if (answer.status === 200 || answer.status === 201) return { version: keep(answer.body).version };
        const isGone = expected !== undefined && answer.status === 404 && reasonOf(answer) === "NotFound";
        if (answer.status === 409 || isGone) return "conflict";
        throw refused(answer, where);
      },
    close: (): void => client.close(),
  };
};
