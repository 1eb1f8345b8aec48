import type { Libc } from "./libc.ts";

/** IFNAMSIZ of linux/if.h, the final NUL included. */
const nameBytes = 16;

/** Names of network devices by their numbers (if_indextoname(3)); `if7` where there is none, as ss has it. */
export const createDeviceName = (libc: Libc | undefined): ((ifindex: number) => string) => {
  const nameOf = libc?.func("const char *if_indextoname(uint32_t ifindex, _Out_ uint8_t *name)");
  return (ifindex) => {
    const name: unknown = nameOf?.(ifindex, new Uint8Array(nameBytes));
    return typeof name === "string" ? name : `if${ifindex}`;
  };
};
