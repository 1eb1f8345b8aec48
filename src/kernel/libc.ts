import { createRequire } from "node:module";
import type Koffi from "koffi";

// Not imported: that would end the process where koffi has no binary, which has probes and sockstat all the same.
const require = createRequire(import.meta.url);

/**
 * The C library of the running process, by koffi: the one file that loads koffi.
 * Throws what koffi throws where it has no binary for this platform.
 */
export const loadLibc = () => {
  const koffi: typeof Koffi = require("koffi");
  const library = koffi.load(null);
  return {
    /** A synchronous C function from its prototype. koffi knows no ssize_t: write intptr_t. */
    func: (prototype: string) => library.func(prototype),
    /** errno of the last call; read it before any other call. */
    errno: (): number => koffi.errno(),
    /** The name of an errno value, as in errno(3). */
    errnoName: (errno: number): string =>
      Object.entries(koffi.os.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`,
    /** Sets errno, so that a call that leaves it alone is told from one that failed. */
    clearErrno: (): void => void koffi.errno(0),
    /**
     * Where an array's bytes are. NB: koffi keeps nothing alive: the array must stay reachable while the address is in
     * use, and be longer than 64 bytes, since V8 keeps shorter ones where it moves them.
     */
    address: (array: Uint8Array): bigint => koffi.address(array),
    /** A struct in the layout of this platform's ABI, for `decode`. */
    struct: (fields: Readonly<Record<string, string>>) => koffi.struct({ ...fields }),
    /** The struct at a pointer, which must be valid. */
    decode: (pointer: bigint, type: ReturnType<typeof koffi.struct>) => koffi.decode(pointer, type),
  };
};

export type Libc = ReturnType<typeof loadLibc>;
