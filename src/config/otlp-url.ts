import type { Fault } from "../text/fault.ts";

const suffix = "/v1/metrics";

/** The URL that requests go to, as it is written. */
export const parseMetricsUrl = (text: string): { readonly url: string } | Fault => {
  const url = URL.parse(text);
  if (url === null || !/^https?:\/\//i.test(text.trim()))
    return { fault: "must be an http:// or https:// URL, as in http://localhost:4318" };
  if (url.username !== "" || url.password !== "")
    return { fault: "must not hold a user or a password: send them as a header, in export.otlp.headers" };
  url.hash = "";
  return { url: url.href };
};

/** The URL that requests go to, from the base URL of a receiver. */
export const parseBaseUrl = (text: string): { readonly url: string } | Fault => {
  const parsed = parseMetricsUrl(text);
  if ("fault" in parsed) return parsed;
  if (/[?#]/.test(text)) return { fault: `must be a base URL without ? and #: ${suffix} is appended to it` };
  const base = parsed.url.replace(/\/+$/, "");
  if (base.endsWith(suffix))
    return { fault: `must be the base URL: ${suffix} is appended to it (metrics_endpoint is used as it is)` };
  return { url: base + suffix };
};

/** The base URL that `parseBaseUrl` turns into this URL, if there is one. */
export const baseOf = (url: string): string | undefined => {
  if (!url.endsWith(suffix)) return undefined;
  const base = url.slice(0, -suffix.length);
  const parsed = parseBaseUrl(base);
  return "url" in parsed && parsed.url === url ? base : undefined;
};
