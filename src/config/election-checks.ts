import { formatDuration } from "../text/duration.ts";
import { defaults } from "./defaults.ts";
import { election, electionTimes, type ElectionFields } from "./election.ts";
import type { Finding } from "./explain.ts";
import { sound } from "./sound.ts";

const at = (key: string, message: string, where: Finding["at"] = "value"): Finding => ({
  path: ["election", key],
  at: where,
  message,
});

/** A leader has to stop before another one starts, and to have more than one try until then. */
const timeFindings = (fields: ElectionFields): Finding[] => {
  const { leaseDurationMs, renewDeadlineMs, retryPeriodMs } = electionTimes(fields);
  const findings: Finding[] = [];
  // Of two that do not go together the one that is written is at fault.
  if (renewDeadlineMs >= leaseDurationMs)
    findings.push(
      fields.renew_deadline === undefined
        ? at("lease_duration", `must be above renew_deadline, ${formatDuration(renewDeadlineMs)} (the default)`)
        : at("renew_deadline", `must be below lease_duration, ${formatDuration(leaseDurationMs)}`),
    );
  if (retryPeriodMs * 2 > renewDeadlineMs)
    findings.push(
      fields.retry_period === undefined
        ? at("renew_deadline", `must be at least twice retry_period, ${formatDuration(retryPeriodMs)} (the default)`)
        : at("retry_period", `must be at most half of renew_deadline, ${formatDuration(renewDeadlineMs)}`),
    );
  return findings;
};

/** What the backend does not need is a mistake about it. */
const foreignFindings = (fields: ElectionFields, backend: string): Finding[] => {
  const keys = backend === "etcd" ? (["token_file"] as const) : (["username", "password"] as const);
  return keys
    .filter((key) => fields[key] !== undefined)
    .map((key) => at(key, `is not for backend: ${backend}: remove it`, "key"));
};

const accessFindings = ({ backend, endpoints, tls, username, password }: ElectionFields): Finding[] => {
  const findings: Finding[] = [];
  if (endpoints === undefined && backend === "etcd")
    findings.push(at("backend", "needs endpoints, the URLs of etcd, as in [http://127.0.0.1:2379]"));
  if (endpoints !== undefined && tls !== undefined && !endpoints.every((url) => url.startsWith("https:")))
    findings.push(
      at("tls", "is for https:// only, and an endpoint is an http:// one: write https://, or remove tls", "key"),
    );
  if (backend === "etcd" && username !== undefined && password === undefined)
    findings.push(at("username", "needs password", "key"));
  if (backend === "etcd" && password !== undefined && username === undefined)
    findings.push(at("password", "needs username", "key"));
  const [cert, key] = [tls?.cert_file !== undefined, tls?.key_file !== undefined];
  if (cert !== key) {
    const [has, lacks] = cert ? ["cert_file", "key_file"] : ["key_file", "cert_file"];
    findings.push({ path: ["election", "tls", has ?? ""], at: "key", message: `needs ${lacks}` });
  }
  return findings;
};

/** Faults between the keys of `election`. */
export const electionFindings = (value: unknown): Finding[] => {
  const fields = value === undefined || value === null ? undefined : sound(election, value);
  if (fields === undefined) return [];
  const backend = fields.backend ?? defaults.election.backend;
  return [
    ...timeFindings(fields),
    ...(backend === "none" ? [] : [...accessFindings(fields), ...foreignFindings(fields, backend)]),
  ];
};
