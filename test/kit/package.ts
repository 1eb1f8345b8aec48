import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { root } from "./agent.ts";

const run = promisify(execFile);

/** The compiler, which is no module. */
const tsc = join(root, "node_modules/typescript/bin/tsc");

const strict = {
  compilerOptions: {
    target: "es2024",
    module: "nodenext",
    types: ["node"],
    noEmit: true,
    strict: true,
    exactOptionalPropertyTypes: true,
    // The declarations of this package, too.
    skipLibCheck: false,
  },
  include: ["*.ts"],
};

/** An application that has the built package installed, in a folder that is gone at the end. */
export const applicationWithPackage = async () => {
  const folder = mkdtempSync(join(tmpdir(), "sockscope-application-"));
  const installed = join(folder, "node_modules/sockscope");
  mkdirSync(installed, { recursive: true });
  cpSync(join(root, "package.json"), join(installed, "package.json"));
  for (const name of ["@opentelemetry", "@types", "undici-types"])
    symlinkSync(join(root, "node_modules", name), join(folder, "node_modules", name));
  symlinkSync(join(root, "node_modules"), join(installed, "node_modules"));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(strict));
  await run(process.execPath, [tsc, "-p", join(root, "src"), "--outDir", join(installed, "dist")]);
  return {
    /** Writes a source file of the application; returns its path. */
    write: (name: string, text: string): string => {
      const file = join(folder, name);
      writeFileSync(file, text);
      return file;
    },
    /** What the compiler says of the application. */
    check: async (): Promise<string> => {
      const checked = run(process.execPath, [tsc], { cwd: folder });
      return checked.then(
        () => "",
        (error: unknown) => (error instanceof Error && "stdout" in error ? String(error.stdout) : String(error)),
      );
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  };
};
