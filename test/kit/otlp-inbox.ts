import { flattenPoints, type MetricsRequest, type ReceivedPoint } from "./otlp-receiver.ts";

/** A request as any receiver notes it, whatever it was answered with. */
export type Noted<Answer> = { readonly message: MetricsRequest; readonly answer: Answer };

/** What a receiver has got, and what it is to answer; by default `ok`. */
export const createInbox = <Answer, Request extends Noted<Answer>>(
  ok: Answer,
  isAccepted: (answer: Answer) => boolean,
) => {
  const requests: Request[] = [];
  const script: Answer[] = [];
  let otherwise = ok;
  let arrived = Promise.withResolvers<void>();
  return {
    /** For the receiver: what the request that has come is answered with. */
    nextAnswer: (): Answer => script.shift() ?? otherwise,
    /** For the receiver, before it answers. */
    note: (request: Request): void => {
      requests.push(request);
      arrived.resolve();
      arrived = Promise.withResolvers();
    },
    /** Every request that could be decoded, in the order of arrival, whatever it was answered with. */
    requests: requests as readonly Request[],
    /** The answers of the next requests, one each; after them every request gets `always`, else a plain success. */
    answer: (...answers: Answer[]): void => void script.push(...answers),
    always: (answer: Answer): void => void (otherwise = answer),
    /** Of every request from now on, whatever is left of the answers before. */
    only: (answer: Answer): void => {
      script.length = 0;
      otherwise = answer;
    },
    /** The points of all requests that were answered with success. */
    points: (): ReceivedPoint[] =>
      flattenPoints(requests.filter(({ answer }) => isAccepted(answer)).map(({ message }) => message)),
    /** Resolves when `enough` holds, which is asked after every request; rejects after `timeoutMs`. */
    until: async (enough: (received: readonly Request[]) => boolean, timeoutMs = 10_000): Promise<void> => {
      const deadline = Promise.withResolvers<never>();
      const timer = setTimeout(
        () => deadline.reject(new Error(`not enough after ${timeoutMs} ms: ${requests.length} requests`)),
        timeoutMs,
      );
      try {
        while (!enough(requests)) await Promise.race([arrived.promise, deadline.promise]);
      } finally {
        clearTimeout(timer);
      }
    },
  };
};
