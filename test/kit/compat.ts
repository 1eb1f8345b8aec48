import { attributesKey } from "../../src/model/columns.ts";
import { configFile, startAgent } from "./agent.ts";
import { type Exposition, parseExposition } from "./exposition.ts";
import { type ReceivedPoint, startOtlpReceiver } from "./otlp-receiver.ts";
import { fetchText, until } from "./until.ts";

const fast = "collection: { interval: 200ms, timeout: 200ms }";

/** An agent with a page and a receiver; `text` is the rest of its configuration. */
export const startCompatAgent = async (text: string) => {
  const receiver = await startOtlpReceiver();
  const whole = (rest: string): string =>
    `${fast}\nexport: { prometheus: { listen: "127.0.0.1:0" }, otlp: { endpoint: "http://127.0.0.1:${receiver.port}" } }\n${rest}`;
  const file = configFile(whole(text));
  const agent = startAgent(file.path);
  const url = await agent.pageUrl();
  const read = async (): Promise<Exposition | undefined> => {
    const page = await fetchText(`${url}/metrics`);
    return page === undefined ? undefined : parseExposition(page);
  };
  return {
    url,
    receiver,
    agent,
    /** The page as soon as `enough` holds of it. */
    pageWhen: (what: string, enough: (page: Exposition) => boolean): Promise<Exposition> =>
      until(what, async () => {
        const page = await read();
        return page !== undefined && enough(page) && page;
      }),
    /** The newest point of each series of a metric that the receiver has. */
    points: (name: string): ReceivedPoint[] => {
      const newest = new Map<string, ReceivedPoint>();
      for (const point of receiver.points())
        if (point.name === name) newest.set(attributesKey(point.attributes), point);
      return [...newest.values()];
    },
    reload: async (next: string): Promise<void> => {
      file.write(whole(next));
      const before = agent.lines.length;
      agent.child.kill("SIGHUP");
      await until("the reload", () => agent.lines.slice(before).some(({ message }) => message.startsWith("reloaded")));
    },
    [Symbol.asyncDispose]: async () => {
      await agent[Symbol.asyncDispose]();
      await receiver[Symbol.asyncDispose]();
      file[Symbol.dispose]();
    },
  };
};
