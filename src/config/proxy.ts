import { contains, parseNetwork } from "../model/address.ts";
import type { ProxyConfig } from "../model/config.ts";
import type { Env } from "./env.ts";

type Chosen = {
  readonly proxy: ProxyConfig | undefined;
  /** A sentence without the variable's value, where it cannot be used. */
  readonly warning?: string;
};

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** Reads `http://user:password@host:port`, of which all but the host may be absent. */
export const parseProxy = (text: string): ProxyConfig | undefined => {
  const url = URL.parse(/^[a-z][\w+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  if (url === null || !/^https?:$/.test(url.protocol)) return undefined;
  const isTls = url.protocol === "https:";
  const port = url.port === "" ? (isTls ? 443 : 80) : url.port;
  const named = url.username !== "" || url.password !== "";
  return {
    isTls,
    authority: `${url.hostname}:${port}`,
    credentials: named ? `${decoded(url.username)}:${decoded(url.password)}` : undefined,
  };
};

const portOf = ({ port, protocol }: URL): string => (port === "" ? (protocol === "https:" ? "443" : "80") : port);

const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");

const isLoopback = (host: string): boolean => {
  const address = parseNetwork(host);
  const loopback = [parseNetwork("127.0.0.0", 8), parseNetwork("::1")];
  if (address === undefined) return host === "localhost" || host.endsWith(".localhost");
  return loopback.some((network) => network !== undefined && contains(network, address));
};

/** An item of NO_PROXY without its port, if it has one. */
const splitPort = (item: string): { readonly name: string; readonly port: string | undefined } => {
  const [, bracketed, host, port] = /^(?:\[(.*)\]|([^:]*))(?::(\d+))?$/s.exec(item) ?? [];
  return { name: bracketed ?? host ?? item, port };
};

const isNamed = (item: string, url: URL): boolean => {
  if (item === "*") return true;
  const { name, port } = splitPort(item.toLowerCase());
  const host = hostOf(url);
  if (port !== undefined && port !== portOf(url)) return false;
  const address = parseNetwork(host);
  if (address !== undefined) {
    const [, base = "", bits] = /^([^/]*)(?:\/(\d+))?$/.exec(name) ?? [];
    const network = parseNetwork(base, bits === undefined ? undefined : Number(bits));
    return network !== undefined && contains(network, address);
  }
  const domain = name.replace(/^\*/, "").replace(/\.$/, "");
  if (domain === "") return false;
  return domain.startsWith(".") ? host.endsWith(domain) : host === domain || host.endsWith(`.${domain}`);
};

/**
 * The proxy on the way to a URL, by the rules of Go's httpproxy, which the Collector follows: none to a host of NO_PROXY
 * (names with all below them, `.name` for those below it only, addresses, networks, each with or without a port, or *),
 * and none to this machine itself. All of gRPC goes through a tunnel, as what is meant for HTTPS_PROXY does.
 */
export const proxyOf = (url: string, env: Env, isGrpc = false): Chosen => {
  const to = new URL(url);
  const upper = isGrpc || to.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY";
  const given = (name: string): string | undefined => {
    const text = env[name]?.trim() ?? "";
    return text === "" ? undefined : text;
  };
  const variable = [upper, upper.toLowerCase()].find((name) => given(name) !== undefined);
  if (variable === undefined || isLoopback(hostOf(to))) return { proxy: undefined };
  const exempt = given("NO_PROXY") ?? given("no_proxy") ?? "";
  if (exempt.split(/[\s,]+/).some((item) => item !== "" && isNamed(item, to))) return { proxy: undefined };
  const proxy = parseProxy(given(variable) ?? "");
  if (proxy !== undefined) return { proxy };
  return { proxy, warning: `${variable} is ignored: it must be the URL of an HTTP proxy, as in http://proxy:3128.` };
};
