import type { AttributeName } from "../metrics/catalogue.ts";
import type { Attributes } from "../model/columns.ts";
import { absent, printable, type Column } from "./terminal.ts";

/** A part of the table: a title, its columns, and a line for what is not shown. */
export type Section = {
  readonly title: string;
  readonly columns: readonly Column[];
  readonly more?: string | undefined;
};

type Rows<K extends string, V> = readonly { readonly [P in K]?: V | undefined }[];
type Values = readonly (number | undefined)[];

const valuesOf = <K extends string>(rows: Rows<K, number>, key: K): Values => rows.map((row) => row[key]);

/** An attribute as text that is safe to print. */
export const textOf = (values: Attributes, name: AttributeName): string => {
  const value = values[name];
  return value === undefined ? absent : printable(String(value));
};

/** A host as in a URL. */
export const bracketHost = (host: string): string => (host.includes(":") ? `[${host}]` : host);

/** Host and port as in a URL. */
export const joinHostPort = (host: string, port: string): string => `${bracketHost(host)}:${port}`;

/** The order of texts, the same in every locale. */
export const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** With so many digits after the point; what they cannot show is not shown as 0. */
const fixed = (value: number | undefined, digits: number): string => {
  if (value === undefined) return absent;
  const least = 10 ** -digits;
  return value > 0 && value < least / 2 ? `<${least}` : value.toFixed(digits);
};

const columnOf = (header: string, values: Values, digits: number): Column => ({
  header,
  align: "right",
  cells: values.map((value) => fixed(value, digits)),
});

/** A column of numbers with so many digits after the point. */
export const numberColumn = <K extends string>(header: string, rows: Rows<K, number>, key: K, digits: number): Column =>
  columnOf(header, valuesOf(rows, key), digits);

/** A column of texts. */
export const textColumn = <K extends string>(header: string, rows: Rows<K, string>, key: K): Column => ({
  header,
  align: "left",
  cells: rows.map((row) => row[key] ?? absent),
});

/** A column of counts, or of means of counts. */
export const countColumn = <K extends string>(header: string, rows: Rows<K, number>, key: K): Column => {
  const values = valuesOf(rows, key);
  const whole = values.every((value) => value === undefined || Number.isInteger(value));
  return columnOf(header, values, whole ? 0 : 1);
};

/** A column of seconds, shown in milliseconds. */
export const millisecondColumn = <K extends string>(header: string, rows: Rows<K, number>, key: K): Column => {
  const milliseconds = valuesOf(rows, key).map((value) => (value === undefined ? undefined : value * 1000));
  return columnOf(`${header} [ms]`, milliseconds, 3);
};

const byteUnits = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** Columns of bytes (`per`: a time) in one unit: the smallest in which the greatest value has four digits at most. */
export const byteColumns = <K extends string>(
  columns: readonly (readonly [header: string, key: K])[],
  rows: Rows<K, number>,
  per = "",
): Column[] => {
  const most = columns
    .flatMap(([, key]) => valuesOf(rows, key))
    .reduce<number>((max, value) => Math.max(max, value ?? 0), 0);
  const fitting = byteUnits.findIndex((_, power) => most / 1024 ** power < 10_000);
  const power = fitting === -1 ? byteUnits.length - 1 : fitting;
  return columns.map(([header, key]) => {
    const scaled = valuesOf(rows, key).map((value) => (value === undefined ? undefined : value / 1024 ** power));
    return columnOf(`${header} [${byteUnits[power]}${per}]`, scaled, power === 0 ? 0 : 2);
  });
};
