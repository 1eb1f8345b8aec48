import type { TlsFile } from "./parse.ts";
import type { Destination } from "./schema.ts";

/** A destination of the declarative file. */
export type Declared = {
  /** As an item of `export.otlp`, with every key that the schema has a default for but that of the URL. Files are absolute. */
  readonly fields: Destination;
  /** Of the keys that the file has: which key became them, and its place. */
  readonly origins: ReadonlyMap<keyof Destination, string>;
  readonly tlsFiles: readonly TlsFile[];
};

const urlKeys = ["endpoint", "metrics_endpoint"] as const;

/** `own` at the path `at` with what it leaves open; a note is left for each key that both have. */
export const fillIn = (own: Destination, { fields, origins }: Declared, at: string, notes: string[]): Destination => {
  const ownUrl = urlKeys.find((key) => own[key] !== undefined);
  for (const [key, origin] of origins) {
    const isUrl = key === "endpoint" || key === "metrics_endpoint";
    const wins = isUrl ? ownUrl : own[key] === undefined ? undefined : key;
    if (wins !== undefined) notes.push(`${at}.${wins} in the file wins over ${origin}.`);
  }
  const { endpoint, metrics_endpoint: full, ...others } = fields;
  const url = endpoint === undefined ? { metrics_endpoint: full } : { endpoint };
  return { ...others, ...(ownUrl === undefined ? url : {}), ...own };
};
