import { parentPort } from "node:worker_threads";
import type { Family } from "../model/sources.ts";
import { bindGetAddrInfo } from "./getaddrinfo.ts";
import { loadLibc } from "./libc.ts";

/** A thread of the resolver: says once that it is ready, then answers one question after the other, blocking in each. */

export type Question = { readonly host: string; readonly family: Family };

const getAddrInfo = bindGetAddrInfo(loadLibc());

parentPort?.on("message", ({ host, family }: Question) => parentPort?.postMessage(getAddrInfo(host, family)));
parentPort?.postMessage("ready");
