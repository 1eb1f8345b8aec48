/**
 * Three-valued logic (Kleene): "and" is the least of its truths, "or" the greatest. A condition of what is not known is
 * undecided, and leaves the whole undecided unless the rest decides it.
 */
export const no = 0;
export const undecided = 1;
export const yes = 2;
export type Truth = typeof no | typeof undecided | typeof yes;

export const truthOf = (holds: boolean): Truth => (holds ? yes : no);
export const not = (truth: Truth): Truth => (truth === yes ? no : truth === no ? yes : undecided);
