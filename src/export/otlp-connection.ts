import type { OtlpConfig } from "../model/config.ts";
import type { Clocks, Post } from "./otlp-sender.ts";

/** The way to a destination, whatever it speaks. Opened with the first request and kept alive between requests. */
export type Connection = {
  readonly post: Post;
  /** For after the last request has ended. */
  readonly close: () => void;
};

export type ConnectionParts = {
  readonly url: URL;
  readonly config: Pick<OtlpConfig, "tls" | "proxy" | "timeoutMs">;
  /** Of every request, by names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly userAgent: string;
  readonly clocks: Pick<Clocks, "now" | "monotonic">;
};

/** Of an answer: what is used of it, and what is read of it at most. */
export const usedAnswerBytes = 64 * 1024;
export const maxAnswerBytes = 4 * 1024 * 1024;

/** Below the idle timeout of most servers and proxies. */
export const keepAliveMs = 30_000;

/** A name, or an address without brackets. */
export const hostnameOf = ({ hostname }: URL): string => hostname.replace(/^\[|\]$/g, "");
