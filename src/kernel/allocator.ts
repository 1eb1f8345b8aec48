import type { Libc } from "./libc.ts";

/** <malloc.h>. */
const M_MMAP_THRESHOLD = -3;
const thresholdBytes = 128 * 1024;

/**
 * Lets large buffers go back to the system when they are freed (mallopt(3)). glibc raises the threshold above which it
 * maps a block by itself each time that it frees one, and then keeps the arrays of every tick in a heap full of holes:
 * 40 to 90 MB at 50,000 series. musl has no such threshold, and no such call.
 */
export const mapLargeBuffers = (libc: Libc): void => {
  try {
    libc.func("int mallopt(int parameter, int value)")(M_MMAP_THRESHOLD, thresholdBytes);
  } catch {
    // No mallopt: nothing to set.
  }
};
