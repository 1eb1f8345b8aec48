import type { Reporter, TestModule } from "vitest/node";

/**
 * Ends the run with the names of the tests that this machine could not run, so that a skip is never silent.
 * With SOCKSCOPE_RUN_ALL=1 an unrun test fails the run.
 */
export default class UnrunReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const unrun: string[] = [];
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        if (test.result().state === "skipped") unrun.push(`${module.relativeModuleId} > ${test.fullName}`);
      }
    }
    if (unrun.length === 0) return;
    process.stdout.write(
      `\nNot run on this machine (${unrun.length}):\n${unrun.map((name) => `  ${name}\n`).join("")}`,
    );
    if (process.env["SOCKSCOPE_RUN_ALL"] === "1") {
      process.stdout.write("SOCKSCOPE_RUN_ALL=1: an unrun test is a failure.\n");
      process.exitCode = 1;
    }
  }
}
