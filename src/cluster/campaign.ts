import type { Log } from "../model/log.ts";
import { LeaseError, type ReadLease, type WriteLease } from "../model/lease.ts";
import type { Permit } from "../model/sources.ts";
import { type Action, type Answer, Election, type ElectionSettings } from "./election.ts";

export type CampaignOptions = {
  /** Its name in the log. */
  readonly name: string;
  /** What is read and written, and how it is called. */
  readonly lease: { readonly read: ReadLease; readonly write: WriteLease; readonly where: string };
  readonly settings: ElectionSettings;
  /** ms of the boot clock. */
  readonly clock: () => number;
  /** Closed from the start on. */
  readonly gate: { readonly shared: BigInt64Array; open(until: number): void; close(): void };
  readonly log: Log;
  /** This agent begins to lead, or has ended to. */
  readonly onChange: (leads: boolean) => void;
};

export type Campaign = {
  /** Looks at the clock; where the term has ended `onChange` has been called before this returns. */
  leads(): boolean;
  /** For sockets; undefined while this agent may not probe. */
  permit(): Permit | undefined;
  /** In a few words, for people. */
  describe(): string;
  /** Stops leading at once, and lets the others know within `ms`. */
  stop(ms: number): Promise<void>;
};

/** Reasons that are told of one outage: behind the first there may be another one, as a right that is missing. */
const mostTroubles = 5;

const seconds = (ms: number): string => `${ms / 1000} s`;

/** Says what happens to an election, each thing once. */
const createNotes = ({ name, lease, settings, log }: CampaignOptions, election: Election) => {
  /** Of this outage. */
  const troubles = new Set<string>();
  let told: string | undefined;
  let foreign = false;
  let contested = false;
  const say = (level: "info" | "warn" | "error", text: string): void => log(level, `election ${name}: ${text}`);
  return {
    failed(reason: string): void {
      if (troubles.has(reason) || troubles.size >= mostTroubles) return;
      troubles.add(reason);
      say("warn", `${reason}; trying again every ${seconds(settings.retryPeriodMs)}`);
    },
    answered(): void {
      if (troubles.size > 0) say("info", "its backend answers again");
      troubles.clear();
      if (election.isForeign && !foreign)
        say(
          "error",
          `${lease.where} holds something that sockscope did not write: standing by. Choose another election.name, or delete it`,
        );
      foreign = election.isForeign;
      if (election.isContested && !contested)
        say("error", `another agent has the identity ${settings.identity}, too: give each its own election.identity`);
      contested = election.isContested;
    },
    role(text: string): void {
      if (text !== told) say("info", text);
      told = text;
    },
  };
};

/** Takes part in an election until it is stopped. */
export const startCampaign = (options: CampaignOptions): Campaign => {
  const { lease, settings, clock, gate, onChange } = options;
  const election = new Election(settings, Math.random);
  const notes = createNotes(options, election);
  const ending = new AbortController();
  let leading = false;
  let answered = false;
  let timer: NodeJS.Timeout | undefined;

  const describe = (): string => {
    if (leading) return "leading, the probes run here";
    if (!answered) return "standing by, the backend has not answered yet";
    if (election.isForeign) return "standing by, the lease is not sockscope's";
    const { holder } = election;
    if (holder === undefined) return "standing by";
    if (holder !== settings.identity) return `standing by, ${holder} leads`;
    return election.term === undefined
      ? "standing by, the lease could not be renewed"
      : "standing by until whoever led before has stopped";
  };

  /** Brings the gate and whoever listens in line with the clock. */
  const settle = (): void => {
    const now = clock();
    const { term } = election;
    clearTimeout(timer);
    const leads = election.mayProbe(now);
    if (leads && term !== undefined) gate.open(term.until);
    else gate.close();
    const next =
      term === undefined ? undefined : now < term.from ? term.from : now < term.until ? term.until : undefined;
    if (next !== undefined && !ending.signal.aborted) timer = setTimeout(settle, Math.max(1, next - now)).unref();
    if (leads === leading) return;
    leading = leads;
    notes.role(describe());
    onChange(leads);
  };

  const carryOut = async (action: Exclude<Action, { do: "wait" }>, signal: AbortSignal): Promise<Answer> => {
    try {
      const answer =
        action.do === "read"
          ? { found: await lease.read(signal) }
          : { written: await lease.write(action.record, action.expected, signal) };
      answered = true;
      return answer;
    } catch (error) {
      if (!(error instanceof LeaseError)) throw error;
      if (!ending.signal.aborted) notes.failed(error.message);
      return "failed";
    }
  };

  const take = async (action: Exclude<Action, { do: "wait" }>, signal: AbortSignal): Promise<Answer> => {
    const startedAt = clock();
    const answer = await carryOut(action, signal);
    election.answered(action, startedAt, clock(), answer);
    return answer;
  };

  const wait = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(waiting);
        ending.signal.removeEventListener("abort", end);
        resolve();
      };
      const waiting = setTimeout(end, Math.max(1, ms)).unref();
      ending.signal.addEventListener("abort", end);
    });

  const run = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      const now = clock();
      const action = election.next(now);
      // oxlint-disable no-await-in-loop -- one step after the other
      if (action.do === "wait") {
        await wait(action.until - now);
        continue;
      }
      const answer = await take(action, ending.signal);
      // oxlint-enable no-await-in-loop
      if (ending.signal.aborted) return;
      settle();
      if (answer === "failed") continue;
      notes.answered();
      if (!leading && election.holder !== undefined) notes.role(describe());
    }
  };

  const letGo = async (signal: AbortSignal): Promise<void> => {
    // What was cut short may have arrived, and may do so between these two.
    for (let attempt = 0; attempt < 2; attempt++) {
      // oxlint-disable no-await-in-loop -- as above
      await take({ do: "read" }, signal);
      const write = election.release();
      if (write === undefined) return;
      const answer = await carryOut(write, signal);
      // oxlint-enable no-await-in-loop
      if (answer !== "failed" && "written" in answer && answer.written !== "conflict") return;
    }
  };

  const running = run();

  return {
    leads() {
      if (leading && !election.mayProbe(clock())) settle();
      return leading;
    },
    permit() {
      const { term } = election;
      return term !== undefined && election.mayProbe(clock()) ? { until: term.until, shared: gate.shared } : undefined;
    },
    describe,
    async stop(ms) {
      gate.close();
      clearTimeout(timer);
      leading = false;
      ending.abort();
      await running;
      await letGo(AbortSignal.timeout(ms));
    },
  };
};
