import type { Labels } from "./exposition.ts";
import { fetchText } from "./until.ts";

type Vector = { readonly data: { readonly result: readonly { metric: Labels; value: [number, string] }[] } };

/** The answers of an instant query now, in Prometheus or VictoriaMetrics. */
export const queryNow = async (baseUrl: string, query: string): Promise<{ labels: Labels; value: number }[]> => {
  // latency_offset is VictoriaMetrics': by default it hides what is younger than 30 s.
  const parameters = new URLSearchParams({ query, latency_offset: "1ms", nocache: "1" });
  const answer = await fetchText(`${baseUrl}/api/v1/query?${parameters.toString()}`);
  if (answer === undefined) throw new Error(`no answer to ${query}`);
  const { data } = JSON.parse(answer) as Vector;
  return data.result.map(({ metric, value: [, value] }) => ({ labels: metric, value: Number(value) }));
};

/** The names of all series that are stored. */
export const storedNames = async (baseUrl: string): Promise<string[]> =>
  (JSON.parse((await fetchText(`${baseUrl}/api/v1/label/__name__/values`)) ?? "{}") as { data: string[] }).data;
