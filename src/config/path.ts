/** Where a value stands in the configuration: keys and list indexes, from the root. */
export type Path = readonly (string | number)[];

/** One string for each path, to look it up by. */
export const pathKey = (path: Path): string => JSON.stringify(path);

const plainKey = /^[A-Za-z_][\w-]*$/;

/** As in `probes.targets[2].timeout`; a key that dots would make unreadable stands in brackets and quotes. */
export const formatPath = (path: Path): string =>
  path
    .map((step, depth) => {
      if (typeof step === "number") return `[${step}]`;
      if (!plainKey.test(step)) return `[${JSON.stringify(step)}]`;
      return depth === 0 ? step : `.${step}`;
    })
    .join("");

/** The path with every list index left out, as in `probes.targets[].timeout`. */
export const patternOf = (path: Path): string =>
  formatPath(path.map((step) => (typeof step === "number" ? 0 : step))).replaceAll("[0]", "[]");
