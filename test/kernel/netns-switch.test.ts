import { describe, expect, test } from "vitest";
import type { Libc } from "../../src/kernel/libc.ts";
import { createNetnsSwitch } from "../../src/kernel/netns-switch.ts";
import { SourceError } from "../../src/model/errors.ts";

class Fatal extends Error {}

const otherFile = 1_000_000;

/** A C library whose setns fails where `fails` says so: a real one cannot be made to. */
const createTest = (fails: (file: number, call: number) => boolean) => {
  const went: ("away" | "home")[] = [];
  const libc = {
    func: () => (file: number) => {
      if (fails(file, went.length)) return -1;
      went.push(file === otherFile ? "away" : "home");
      return 0;
    },
    errno: () => 1,
    errnoName: () => "EPERM",
  } as unknown as Libc;
  const way = createNetnsSwitch(libc, (reason) => {
    throw new Fatal(reason);
  });
  return { way, went };
};

describe.skipIf(process.platform !== "linux")("the way into another network namespace", () => {
  test("leads there and back around the call", () => {
    const { way, went } = createTest(() => false);
    expect(way.refusal).toBeUndefined();
    expect(way.enter(otherFile, () => [...went])).toEqual(["home", "away"]);
    expect(went).toEqual(["home", "away", "home"]);
    way.close();
  });

  test("leads back where the call throws", () => {
    const { way, went } = createTest(() => false);
    const enter = () =>
      way.enter(otherFile, () => {
        throw new SourceError("socket() failed");
      });
    expect(enter).toThrow("socket() failed");
    expect(went.at(-1)).toBe("home");
    way.close();
  });

  test("without a way back the process ends", () => {
    const { way } = createTest((file, call) => file !== otherFile && call > 0);
    expect(() => way.enter(otherFile, () => undefined)).toThrow(
      new Fatal("there is no way back from another network namespace: setns() failed: EPERM"),
    );
    way.close();
  });

  test("one that cannot be entered is a failure of that one", () => {
    const { way, went } = createTest((file) => file === otherFile);
    expect(() => way.enter(otherFile, () => expect.unreachable())).toThrow(SourceError);
    expect(went).toEqual(["home"]);
    way.close();
  });

  test("is refused without the capability, and over when it is closed", () => {
    expect(createTest(() => true).way.refusal).toBe("EPERM");
    const { way, went } = createTest(() => false);
    way.close();
    expect(() => way.enter(otherFile, () => expect.unreachable())).toThrow(SourceError);
    expect(went).toEqual(["home"]);
  });
});
