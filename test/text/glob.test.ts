import fc from "fast-check";
import { expect, test } from "vitest";
import { createGlob } from "../../src/text/glob.ts";

test.each([
  ["*", "", true],
  ["", "", true],
  ["", "a", false],
  ["nginx*", "nginx: worker process", true],
  ["*/gunicorn *", "/usr/bin/python3 /opt/bin/gunicorn app:main", true],
  ["*/gunicorn *", "/opt/bin/gunicorn", false],
  ["postgres: * idle", "postgres: app db idle", true],
  ["postgres: * idle", "postgres: app db idle in transaction", false],
  ["py?hon3.1?", "python3.13", true],
  ["a?", "a", false],
  ["a.c", "abc", false],
  ["**a**b**", "xaxbx", true],
])("%j and %j: %s", (pattern, text, fits) => {
  expect(createGlob(pattern)(text)).toBe(fits);
});

test("fits what the regular expression of the same meaning fits", () => {
  const letters = fc.array(fc.constantFrom("a", "b", "*", "?", "\n"), { maxLength: 8 }).map((parts) => parts.join(""));
  fc.assert(
    fc.property(letters, letters, (pattern, text) => {
      const expression = new RegExp(`^${pattern.replaceAll("*", "[^]*").replaceAll("?", "[^]")}$`, "u");
      expect(createGlob(pattern)(text)).toBe(expression.test(text));
    }),
    { numRuns: 2000 },
  );
});

test("takes no time that explodes", () => {
  const started = performance.now();
  expect(createGlob("*a".repeat(60))("a".repeat(59).padEnd(20_000, "b"))).toBe(false);
  expect(performance.now() - started).toBeLessThan(1000);
});
