import fc from "fast-check";
import { expect, test } from "vitest";
import { parseRecord, recordText } from "../../src/cluster/record-json.ts";

const record = fc.record({
  identity: fc.string(),
  session: fc.string(),
  durationMs: fc.integer({ min: 0, max: 604_800_000 }),
  term: fc.nat(),
  released: fc.boolean(),
  rival: fc.string(),
});

test("a record reads as it was written", () => {
  fc.assert(
    fc.property(record, (written) => {
      expect(parseRecord(recordText(written))).toEqual(written);
    }),
  );
});

test("whatever is there is a record or none", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      expect(parseRecord(text)).toBeUndefined();
    }),
  );
});

test.each([
  ["a field that is missing", { rival: undefined }],
  ["a duration of a year", { durationMs: 31_536_000_000 }],
  ["a negative term", { term: -1 }],
  ["a word for a switch", { released: "no" }],
  ["another form", { form: "sockscope election 2" }],
])("%s makes it none", (_what, more) => {
  const written = { identity: "a", session: "b", durationMs: 1, term: 1, released: false, rival: "" };
  const text = JSON.stringify({ ...(JSON.parse(recordText(written)) as object), ...more });
  expect(parseRecord(text)).toBeUndefined();
});
