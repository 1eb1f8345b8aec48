import { z } from "zod";
import { electionBackends, type ElectionConfig, electionModes } from "../model/config.ts";
import { formatDuration } from "../text/duration.ts";
import { beside } from "./beside.ts";
import { defaults } from "./defaults.ts";
import { block, duration, oneOf, optional, parsed } from "./kinds.ts";
import { filePath, refusing, tlsBlock } from "./target-schema.ts";
import { tlsOf } from "./targets.ts";

/** Below it a round trip to the backend takes a good part of it. */
const shortestMs = 100;

const time = (description: string, ms: number) =>
  optional(duration(shortestMs), `${description} At least 100ms.`, formatDuration(ms));

/** What Kubernetes calls a DNS subdomain, so that one name serves every backend. */
const objectName = (longest: number) =>
  refusing((name) => {
    if (name.length > longest) return `can have ${longest} characters`;
    return /^[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?$/.test(name)
      ? undefined
      : "must be lower-case letters, digits, - and ., with a letter or a digit at both ends";
  }, "a name");

const control = /\p{Cc}/u;

const identity = refusing((name) => {
  if (name === "") return "must not be empty";
  return name.length > 253 || control.test(name)
    ? "must be text of 253 characters at most, without control characters"
    : undefined;
}, "a name");

const credential = (what: string) =>
  refusing((word) => {
    if (word === "") return "must not be empty";
    return control.test(word) ? "must be text without control characters" : undefined;
  }, what);

const endpoint = parsed<string>((written) => {
  const url = URL.parse(written);
  if (url === null || !/^https?:\/\//i.test(written.trim()))
    return { fault: "must be an http:// or https:// URL, as in http://127.0.0.1:2379" };
  if (url.username !== "" || url.password !== "")
    return { fault: "must not hold a user or a password: write them as username and password" };
  return url.pathname === "/" && url.search === "" && url.hash === ""
    ? url.origin
    : { fault: "must end after the port, as in http://127.0.0.1:2379" };
}, /^https?:\/\//);

/** `election`. */
export const election = block({
  backend: optional(
    oneOf(electionBackends),
    "What keeps the lease: kubernetes, a Lease of the cluster that this agent is a pod of; etcd, a key. none: no election, this agent runs its probes whatever others do.",
    defaults.election.backend,
  ),
  mode: optional(
    z.enum(electionModes, {
      error: ({ input }) =>
        input === "shard" ? '"shard" is not supported by this version of sockscope: use leader' : "must be leader",
    }),
    "leader: one agent of the election runs all probes, the others stand by.",
    defaults.election.mode,
  ),
  name: optional(
    objectName(200),
    "Agents with the same backend, namespace and name are candidates of one election.",
    defaults.election.name,
  ),
  namespace: optional(objectName(63), "The namespace of the name. By default the pod's with kubernetes, else default."),
  identity: optional(identity, "What the others call this agent, another one for each. By default the host's name."),
  lease_duration: time(
    "How long the others wait after the last renewal that they saw before one of them takes over.",
    defaults.election.leaseDurationMs,
  ),
  renew_deadline: time(
    "How long after its last renewal the leader goes on; below lease_duration, so that it has stopped before.",
    defaults.election.renewDeadlineMs,
  ),
  retry_period: time(
    "Time between two renewals, and between two looks of the others; at most half of renew_deadline.",
    defaults.election.retryPeriodMs,
  ),
  endpoints: optional(
    z.array(endpoint, { error: "must be a list of URLs" }).min(1, { error: "must hold a URL" }),
    "The URLs of the backend's servers, one after the other is asked. With kubernetes by default what a pod's environment says.",
  ),
  tls: optional(tlsBlock("backend"), "For https://: what is trusted, and what the backend is shown."),
  token_file: optional(
    filePath,
    "For kubernetes: the file with the token, read anew for each request. By default that of the pod's service account.",
  ),
  username: optional(credential("the name of a user"), "For etcd: who reads and writes there."),
  password: optional(
    credential("a password"),
    "The password, a secret: never logged, never printed. As in ${env:ETCD_PASSWORD}.",
  ),
});

export type ElectionFields = z.output<typeof election>;

/** The durations of an election, as far as they are given. */
export const electionTimes = (fields: ElectionFields) => ({
  leaseDurationMs: fields.lease_duration ?? defaults.election.leaseDurationMs,
  renewDeadlineMs: fields.renew_deadline ?? defaults.election.renewDeadlineMs,
  retryPeriodMs: fields.retry_period ?? defaults.election.retryPeriodMs,
});

const backendOf = (fields: ElectionFields, path: string): ElectionConfig["backend"] | undefined => {
  const { backend = defaults.election.backend, endpoints, token_file: token, username, password } = fields;
  const tls = fields.tls && tlsOf(fields.tls, path);
  if (backend === "kubernetes")
    return { kind: backend, endpoints, tls, tokenFile: token === undefined ? undefined : beside(path, token) };
  if (backend === "none" || endpoints === undefined) return undefined;
  const credentials = username === undefined || password === undefined ? undefined : { username, password };
  return { kind: backend, endpoints, tls, credentials };
};

/** `path`: of the file, beside which its files are. undefined: none takes place. */
export const electionOf = (fields: ElectionFields | undefined, path: string): ElectionConfig | undefined => {
  const standard = defaults.election;
  const backend = fields && backendOf(fields, path);
  if (fields === undefined || backend === undefined) return undefined;
  return {
    mode: fields.mode ?? standard.mode,
    name: fields.name ?? standard.name,
    namespace: fields.namespace,
    identity: fields.identity,
    ...electionTimes(fields),
    backend,
  };
};
