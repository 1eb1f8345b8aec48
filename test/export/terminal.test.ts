import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { alignColumns, displayWidth, fit, printable, type Column } from "../../src/export/terminal.ts";

describe("displayWidth", () => {
  test.each([
    ["plain", 5],
    ["", 0],
    ["déjà", 4],
    ["de\u0301ja", 4],
    ["日本語", 6],
    ["한국", 4],
    ["ｆｕｌｌ", 8],
    ["🚀", 2],
    ["👩‍👩‍👧", 2],
    ["a…b → c", 7],
  ])("%s takes %d cells", (text, width) => {
    expect(displayWidth(text)).toBe(width);
  });
});

describe("fit", () => {
  test.each([
    ["short", 5, "short"],
    ["gateway.internal", 9, "gate…rnal"],
    ["gateway.internal", 2, "g…"],
    ["gateway.internal", 1, "…"],
    ["gateway.internal", 0, ""],
    ["日本語日本語", 7, "日本…語"],
    ["👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧", 5, "👩‍👩‍👧…👩‍👩‍👧"],
  ])("%s in %d cells is %s", (text, width, expected) => {
    expect(fit(text, width)).toBe(expected);
  });

  test("the end can be cut instead of the middle", () => {
    expect(fit("gateway.internal", 9, 0)).toBe("gateway.…");
  });

  test("property: never wider than asked", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.nat({ max: 30 }), (text, width) => {
        expect(displayWidth(fit(text, width))).toBeLessThanOrEqual(width);
      }),
    );
  });
});

test("printable escapes what drives a terminal and keeps the rest", () => {
  expect(printable("a\u001b[31mb\u0000\u007f\u009b\n日本\ud800")).toBe(
    "a\\u001b[31mb\\u0000\\u007f\\u009b\\n日本\ufffd",
  );
});

const column = (header: string, align: Column["align"], ...cells: string[]): Column => ({ header, align, cells });

describe("alignColumns", () => {
  test("texts to the left, numbers to the right", () => {
    expect(alignColumns([column("name", "left", "a", "long name"), column("n", "right", "1", "22")], 80)).toEqual([
      "name        n",
      "a           1",
      "long name  22",
    ]);
  });

  test("a column without any value is left out", () => {
    expect(alignColumns([column("a", "left", "x"), column("b", "right", "-"), column("c", "right", "1")], 80)).toEqual([
      "a  c",
      "x  1",
    ]);
  });

  test("where it is narrow, optional columns go first, the last of them before the others", () => {
    const columns = [
      column("name", "left", "x".repeat(20)),
      { ...column("one", "right", "1"), optional: true },
      { ...column("two", "right", "2"), optional: true },
      column("sum", "right", "3"),
    ];
    expect(alignColumns(columns, 35)[0]).toBe(`${"name".padEnd(20)}  one  two  sum`);
    expect(alignColumns(columns, 34)[0]).toBe(`${"name".padEnd(20)}  one  sum`);
    expect(alignColumns(columns, 29)[0]).toBe(`${"name".padEnd(20)}  sum`);
  });

  test("then the widest text gives way, and numbers do not", () => {
    const columns = [
      column("a", "left", "x".repeat(30)),
      column("b", "left", "y".repeat(14)),
      column("n", "right", "123456"),
    ];
    expect(alignColumns(columns, 40)[1]).toBe(`${"x".repeat(8)}…${"x".repeat(7)}  ${"y".repeat(14)}  123456`);
  });

  test("at last the line is cut, without colour", () => {
    const painted = { ...column("state", "left", "up"), paint: (cell: string) => `<${cell}>` };
    const number = column("number", "right", "123456");
    expect(alignColumns([painted, number], 20)[1]).toBe("<up   >  123456");
    expect(alignColumns([painted, number], 10)[1]).toBe("up     12…");
  });

  test("property: every line is equally wide, and not wider than the terminal", () => {
    const cells = fc.array(fc.string({ unit: "grapheme", maxLength: 20 }).map(printable), {
      minLength: 3,
      maxLength: 3,
    });
    const columns = fc.array(
      fc.record({
        header: fc.string({ maxLength: 8 }).map(printable),
        align: fc.constantFrom("left" as const, "right" as const),
        cells,
      }),
      { minLength: 1, maxLength: 6 },
    );
    fc.assert(
      fc.property(columns, fc.integer({ min: 1, max: 120 }), (all, width) => {
        const widths = alignColumns(all, width).map(displayWidth);
        expect(new Set(widths).size).toBe(1);
        expect(widths[0]).toBeLessThanOrEqual(width);
      }),
    );
  });
});
