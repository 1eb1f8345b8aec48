/** Whether text has a character that makes it a pattern. */
export const isGlob = (text: string): boolean => /[*?]/.test(text);

/**
 * A pattern that the whole text has to fit: `*` stands for any text, `?` for one character (a UTF-16 unit). The time it
 * takes is bounded by the product of the two lengths, whatever the pattern.
 */
export const createGlob =
  (pattern: string) =>
  (text: string): boolean => {
    let at = 0;
    let next = 0;
    // Where to go on when what follows the last * does not fit: one character further behind it.
    let star = -1;
    let behind = 0;
    while (at < text.length) {
      if (pattern[next] === "*") {
        star = next++;
        behind = at;
      } else if (next < pattern.length && (pattern[next] === "?" || pattern[next] === text[at])) {
        next++;
        at++;
      } else if (star >= 0) {
        next = star + 1;
        at = ++behind;
      } else return false;
    }
    while (pattern[next] === "*") next++;
    return next === pattern.length;
  };
