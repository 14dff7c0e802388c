/** What the columns of a Parquet file are: the tree of its schema, and the meaning of stored values. */
import type { SchemaElement } from "hyparquet";
import type { Column } from "./format.js";

const NUMBER_TYPES = new Set(["INT32", "INT64", "FLOAT", "DOUBLE"]);

/** A time as text with all of its digits, which a Date would not hold. */
function timeText(value: bigint, perSecond: bigint): string {
  const fraction = ((value % perSecond) + perSecond) % perSecond;
  const time = new Date(Number((value - fraction) / perSecond) * 1000);
  // Beyond the years that a Date knows, the number has to do.
  if (Number.isNaN(time.getTime())) return String(value);
  const digits = String(perSecond).length - 1;
  return `${time.toISOString().slice(0, -5)}.${String(fraction).padStart(digits, "0")}Z`;
}

/** How times, dates and JSON become text. */
export const PARSERS = {
  timestampFromMilliseconds: (value: bigint) => timeText(value, 1000n),
  timestampFromMicroseconds: (value: bigint) => timeText(value, 1_000_000n),
  timestampFromNanoseconds: (value: bigint) => timeText(value, 1_000_000_000n),
  dateFromDays: (days: number) => timeText(BigInt(days) * 86_400_000n, 1000n).split("T")[0],
  jsonFromBytes: (bytes: Uint8Array) => Buffer.from(bytes).toString("utf8"),
};

/** A column of the file, by its place among the root's children. */
export interface ParquetColumn extends Column {
  readonly element: SchemaElement;
  /** The element and all that is within it. */
  readonly elements: readonly SchemaElement[];
  /** A single value in each row, or null. */
  readonly isFlat: boolean;
}

/** The root's children. The schema is a tree, written down depth first. */
export function columnsOf(schema: readonly SchemaElement[]): ParquetColumn[] {
  const columns: ParquetColumn[] = [];
  for (let at = 1; at < schema.length; ) {
    const first = at;
    const element = schema[first];
    for (let open = 1; open > 0; open--) open += schema[at++].num_children ?? 0;
    const isFlat = !element.num_children && element.repetition_type !== "REPEATED";
    const numeric = isFlat && isNumber(element);
    columns.push({ name: element.name, element, elements: schema.slice(first, at), isFlat, numeric });
  }
  return columns;
}

function isNumber(element: SchemaElement): boolean {
  const { type, converted_type: converted, logical_type: logical } = element;
  if (logical?.type === "FLOAT16" || decimalScale(element) !== undefined) return true;
  if (logical !== undefined && logical.type !== "INTEGER") return false;
  return NUMBER_TYPES.has(type as string) && (converted === undefined || /^U?INT_/.test(converted));
}

/** How many decimals a column of decimal numbers has. */
export function decimalScale({
  scale,
  converted_type: converted,
  logical_type: logical,
}: SchemaElement): number | undefined {
  if (logical?.type === "DECIMAL") return logical.scale;
  return converted === "DECIMAL" ? (scale ?? 0) : undefined;
}

/** A column whose values are taken as they are stored. */
export function asStored({ name, type, type_length, repetition_type }: SchemaElement): SchemaElement {
  return { name, type, type_length, repetition_type };
}
