// Preloaded by the npm scripts. sockscope runs from TypeScript source, which older Nodes cannot load;
// the npm package `node` brings a fitting one unless its install script was skipped.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 24 || (major === 24 && minor < 12)) {
  process.stderr.write(
    `sockscope needs Node 24.12 or newer, and this is Node ${process.versions.node}.\n` +
      "The npm package `node` brings a fitting one for every npm script, but its install script has not run.\n" +
      "Remedy: run `npm ci` again without --ignore-scripts, or put Node 24.12 or newer first in PATH.\n",
  );
  process.exit(1);
}
