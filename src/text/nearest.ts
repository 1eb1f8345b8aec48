/** Edits between two words; two neighbours that changed places are one edit (optimal string alignment). */
export const editDistance = (from: string, to: string): number => {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1];
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1])
        cost = Math.min(cost, (beforeLast[j - 2] ?? 0) + 1);
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[to.length] ?? 0;
};

/** The candidate that the word was most likely meant to be, if any is near. */
export const nearest = (word: string, candidates: readonly string[]): string | undefined => {
  // Longer words are no typing slip of any key, and the distance is quadratic.
  if (word.length > 64) return undefined;
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return bestDistance <= Math.max(1, Math.floor(word.length / 3)) ? best : undefined;
};

/** Says that a word is none of the allowed ones, and which of them was likely meant. */
export const unknownWord = (what: string, word: string, allowed: readonly string[]): string => {
  const near = nearest(word, allowed);
  const guess = near === undefined ? ";" : `, did you mean "${near}"?`;
  return `unknown ${what} ${JSON.stringify(word)}${guess} allowed: ${allowed.join(", ")}`;
};
