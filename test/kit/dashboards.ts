import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./agent.ts";

export type Panel = {
  readonly title: string;
  readonly type: string;
  readonly datasource?: { readonly uid: string };
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
};

type Variable = { readonly name: string; readonly type: string; readonly definition?: string };

export type Dashboard = {
  readonly uid: string;
  readonly title: string;
  readonly templating: { readonly list: readonly Variable[] };
  readonly panels: readonly Panel[];
};

const folder = join(root, "deploy/grafana/dashboards");

export const dashboards: readonly Dashboard[] = readdirSync(folder).map(
  (file) => JSON.parse(readFileSync(join(folder, file), "utf8")) as Dashboard,
);

/** A query as Grafana sends it with everything selected. */
export const substituted = (query: string, rateInterval: string): string =>
  query.replaceAll("$__rate_interval", rateInterval).replaceAll(/"\$\w+"/g, '".*"');
