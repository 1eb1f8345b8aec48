import { defineConfig } from "vitest/config";

export default defineConfig({
  root: new URL("..", import.meta.url).pathname,
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    // Two workers: the tests open real sockets and measure nothing, but a stampede of them starves a small machine.
    maxWorkers: 2,
    reporters: ["default", ".ci/unrun-reporter.ts"],
  },
});
