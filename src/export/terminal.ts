/** Text for a terminal: what is safe to print, how wide it is, and columns that line up. */

// C0 and C1 controls can drive a terminal, line separators forge lines, direction overrides reorder what is read.
// oxlint-disable-next-line no-control-regex
const unprintable = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

const shortEscapes: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Escapes what could forge a line or drive a terminal; JSON text stays the same JSON. */
export const printable = (text: string): string =>
  text
    .toWellFormed()
    .replace(unprintable, (char) => shortEscapes[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);

const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });
const charactersOf = (text: string): string[] => Array.from(graphemes.segment(text), ({ segment }) => segment);

const zeroWidth = /^[\p{Mn}\p{Me}\p{Cf}]/u;
// East Asian Wide and Fullwidth (UAX #11) and what terminals draw as emoji.
const wide =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\p{Emoji_Presentation}\u{20000}-\u{3fffd}]/u;

/** By the first code point: what a character combines with takes no cell of its own. */
const characterWidth = (character: string): number => (zeroWidth.test(character) ? 0 : wide.test(character) ? 2 : 1);

/** The number of terminal cells that a printable text takes. */
export const displayWidth = (text: string): number =>
  /^[ -~]*$/.test(text)
    ? text.length
    : charactersOf(text).reduce((sum, character) => sum + characterWidth(character), 0);

/** As many leading characters as fit. */
const leading = (characters: readonly string[], width: number): string[] => {
  let room = width;
  const end = characters.findIndex((character) => (room -= characterWidth(character)) < 0);
  return end === -1 ? [...characters] : characters.slice(0, end);
};

/** Shortens a text with an ellipsis that leaves `tailWidth` cells of its end. */
export const fit = (text: string, width: number, tailWidth = Math.floor((width - 1) / 2)): string => {
  if (displayWidth(text) <= width) return text;
  if (width < 1) return "";
  const characters = charactersOf(text);
  const tail = leading(characters.toReversed(), tailWidth).toReversed().join("");
  return `${leading(characters, width - 1 - displayWidth(tail)).join("")}…${tail}`;
};

export type Column = {
  readonly header: string;
  readonly align: "left" | "right";
  readonly cells: readonly string[];
  /** Left out, the last first, where the terminal is too narrow for all. */
  readonly optional?: boolean;
  /** Gets a cell at its full width, and may add colour but no width. */
  readonly paint?: (cell: string) => string;
};

/** The cell of a value that was not given. */
export const absent = "-";

const gap = "  ";
/** Below this a shortened text says nothing. */
const minTextWidth = 12;

const pad = (text: string, width: number, align: Column["align"]): string => {
  const space = " ".repeat(Math.max(0, width - displayWidth(text)));
  return align === "left" ? `${text}${space}` : `${space}${text}`;
};

type Sized = { readonly column: Column; width: number };

const totalWidth = (sized: readonly Sized[]): number =>
  sized.reduce((sum, { width }) => sum + width, gap.length * (sized.length - 1));

/** Natural widths; where they do not fit, optional columns go, then the widest texts give way. Numbers never do. */
const sizeColumns = (columns: readonly Column[], width: number): readonly Sized[] => {
  let sized = columns.map((column): Sized => {
    const widths = column.cells.map(displayWidth);
    return { column, width: widths.reduce((most, each) => Math.max(most, each), displayWidth(column.header)) };
  });
  while (totalWidth(sized) > width) {
    const last = sized.findLast(({ column }) => column.optional === true);
    if (last === undefined) break;
    sized = sized.filter((each) => each !== last);
  }
  for (let excess = totalWidth(sized) - width; excess > 0; excess--) {
    const texts = sized.filter((each) => each.column.align === "left" && each.width > minTextWidth);
    if (texts.length === 0) break;
    texts.reduce((widest, each) => (each.width > widest.width ? each : widest)).width -= 1;
  }
  return sized;
};

/** Lines up columns, headers first. A column without any value is left out. Every line is equally wide. */
export const alignColumns = (columns: readonly Column[], width: number): string[] => {
  const sized = sizeColumns(
    columns.filter(({ cells }) => cells.some((cell) => cell !== absent)),
    width,
  );
  const overflows = totalWidth(sized) > width;
  const lineOf = (textOf: (column: Column) => string, painted: boolean): string => {
    const cells = sized.map(({ column, width: own }) => {
      const cell = pad(fit(textOf(column), own), own, column.align);
      return painted && column.paint !== undefined ? column.paint(cell) : cell;
    });
    return overflows ? pad(fit(cells.join(gap), width, 0), width, "left") : cells.join(gap);
  };
  const rows = Array.from({ length: sized[0]?.column.cells.length ?? 0 }, (_, row) =>
    // A line that is cut has no colour, whose codes the cut would break.
    lineOf(({ cells }) => cells[row] ?? absent, !overflows),
  );
  return [lineOf(({ header }) => header, false), ...rows];
};
