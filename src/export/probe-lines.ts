import { phases, type Outcome } from "../model/outcome.ts";
import type { Target } from "../model/target.ts";
import { printable } from "./terminal.ts";

const milliseconds = (seconds: number): string => `${(seconds * 1000).toFixed(3)} ms`;

const phaseSeconds = (outcome: Outcome): [string, number][] =>
  phases.flatMap((phase): [string, number][] => {
    const seconds = outcome.phases[phase];
    return seconds === undefined ? [] : [[phase, seconds]];
  });

const timing = (outcome: Outcome): string[] => {
  const steps = phaseSeconds(outcome).map(([phase, seconds]) => `${phase} ${milliseconds(seconds)}`);
  return [milliseconds(outcome.seconds), ...(steps.length === 0 ? [] : [`(${steps.join(", ")})`])];
};

const detail = (text: string): string => (text === "" ? "" : ` (${text})`);

const describe = (outcome: Outcome): string[] => {
  switch (outcome.kind) {
    case "up":
      return timing(outcome);
    case "unanswered":
      return [...timing(outcome), "no reply and no ICMP error"];
    case "down":
      return [`${outcome.error} at ${outcome.phase}${detail(outcome.detail)}`, milliseconds(outcome.seconds)];
    case "not_run":
      return [`${outcome.error}${detail(outcome.detail)}`];
  }
  return outcome satisfies never;
};

const renderJson = ({ name, type, url }: Target, outcome: Outcome): string => {
  const failed = outcome.kind === "down" || outcome.kind === "not_run";
  return JSON.stringify({
    target: url,
    name,
    type,
    outcome: outcome.kind,
    seconds: outcome.seconds,
    phase_seconds: Object.fromEntries(phaseSeconds(outcome)),
    address: outcome.address,
    error_type: failed ? outcome.error : undefined,
    failed_phase: outcome.kind === "down" ? outcome.phase : undefined,
    detail: failed ? outcome.detail : undefined,
  });
};

/** Renders one run for `sockscope probe`: a line without line feed, for people or as JSON (seconds, snake_case keys). */
export const renderProbeLine = (
  { target, outcome }: { readonly target: Target; readonly outcome: Outcome },
  { json }: { readonly json: boolean },
): string => {
  if (json) return printable(renderJson(target, outcome));
  const address = outcome.address === undefined ? [] : [outcome.address];
  return printable([target.url, outcome.kind, ...describe(outcome), ...address].join("  "));
};
