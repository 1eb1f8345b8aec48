import { expect, test } from "vitest";
import { codeOf, failureOf, tellingMost } from "../../src/probe/errors.ts";

test.each([
  ["ECONNREFUSED", "down", "connection_refused"],
  ["ECONNRESET", "down", "connection_reset"],
  ["EPIPE", "down", "connection_reset"],
  ["ETIMEDOUT", "down", "connect_timeout"],
  ["EHOSTUNREACH", "down", "host_unreachable"],
  ["EHOSTDOWN", "down", "host_unreachable"],
  ["ENETUNREACH", "down", "network_unreachable"],
  ["ENETDOWN", "down", "network_unreachable"],
  ["EMFILE", "not_run", "too_many_files"],
  ["ENFILE", "not_run", "too_many_files"],
  ["ENOBUFS", "not_run", "no_buffers"],
  ["ENOMEM", "not_run", "no_memory"],
  ["EADDRINUSE", "not_run", "address_in_use"],
  ["EADDRNOTAVAIL", "not_run", "no_local_address"],
  ["EAFNOSUPPORT", "not_run", "no_local_address"],
  ["EACCES", "not_run", "permission_denied"],
  ["EPERM", "not_run", "permission_denied"],
  ["EINVAL", "down", "_OTHER"],
  ["ERR_SOMETHING", "down", "_OTHER"],
  ["constructor", "down", "_OTHER"],
])("%s over IP is %s %s", (code, kind, error) => {
  expect(failureOf(code)).toEqual({ kind, error });
});

test.each([
  ["ENOENT", "down", "socket_not_found"],
  ["ENOTDIR", "down", "socket_not_found"],
  ["ECONNREFUSED", "down", "connection_refused"],
  ["EAGAIN", "down", "connection_refused"],
  ["EACCES", "down", "permission_denied"],
  ["EPERM", "down", "permission_denied"],
  ["EPROTOTYPE", "down", "wrong_socket_type"],
  ["EMFILE", "not_run", "too_many_files"],
])("%s of a path is %s %s", (code, kind, error) => {
  expect(failureOf(code, "unix")).toEqual({ kind, error });
});

test.each([
  [["network_unreachable", "connection_refused"], "connection_refused"],
  [["connect_timeout", "network_unreachable"], "connect_timeout"],
  [["connect_timeout", "connection_refused", "no_local_address"], "connection_refused"],
  [["connection_refused", "too_many_files"], "too_many_files"],
])("of %j %s tells most", (errors, most) => {
  const failures = errors.map((error) => failureOf(codes[error] ?? ""));
  expect(tellingMost(failures)?.error).toBe(most);
});

const codes: Readonly<Record<string, string>> = {
  network_unreachable: "ENETUNREACH",
  connection_refused: "ECONNREFUSED",
  connect_timeout: "ETIMEDOUT",
  no_local_address: "EADDRNOTAVAIL",
  too_many_files: "EMFILE",
};

test("of equal failures the first is kept, and of none none", () => {
  const first = { ...failureOf("EHOSTUNREACH"), code: "EHOSTUNREACH" };
  const second = { ...failureOf("EHOSTDOWN"), code: "EHOSTDOWN" };
  expect(tellingMost([first, second])).toBe(first);
  expect(tellingMost([])).toBeUndefined();
});

test("the code of an error is its code, never its message", () => {
  expect(codeOf(Object.assign(new Error("connect ECONNREFUSED"), { code: "EMFILE" }))).toBe("EMFILE");
  expect(codeOf(new RangeError("ECONNREFUSED"))).toBe("RangeError");
  expect(codeOf("ECONNREFUSED")).toBe("unknown error");
});
