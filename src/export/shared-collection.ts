export type SharingOptions = {
  /** From the start of a collection to that of the next, at least, in ms. */
  readonly spacingMs: number;
  /** Monotonic ms. */
  readonly now: () => number;
};

/**
 * One collection for the observables' callback and the metric producer of a reader, and for all readers that ask while it
 * runs or before `spacingMs` have passed since it began: no two run side by side, and none is made only because another
 * reader asks at another time.
 */
export const shareCollections = <T>(
  collect: () => Promise<T>,
  { spacingMs, now }: SharingOptions,
): (() => Promise<T>) => {
  let current: Promise<T> | undefined;
  let startedAt = -Infinity;
  let isRunning = false;
  let isChosen = false;
  const start = (): Promise<T> => {
    startedAt = now();
    isRunning = true;
    return collect().finally(() => (isRunning = false));
  };
  return () => {
    // A reader asks callback and producer in one turn, which must be given the same.
    if (current !== undefined && isChosen) return current;
    isChosen = true;
    queueMicrotask(() => (isChosen = false));
    if (current === undefined || (!isRunning && now() - startedAt >= spacingMs)) current = start();
    return current;
  };
};
