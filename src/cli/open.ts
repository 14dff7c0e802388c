/** Opens tables, whatever their format. */
import path from "node:path";
import { DataError, UsageError } from "./errors.js";
import { CsvSink, CsvSource, parseDelimiter } from "./formats/csv.js";
import type { FormatName, Sink, Source, WriteOptions } from "./formats/format.js";
import { isNpy, NpySink, NpySource } from "./formats/npy.js";
import { isParquet, ParquetSink, ParquetSource } from "./formats/parquet.js";
import { Input } from "./input.js";
import type { Output } from "./output.js";

/** How text tables are read and written. */
export interface TextOptions {
  delimiter?: string;
  header: boolean;
  missing?: readonly string[];
}

const EXTENSIONS: Record<string, FormatName> = {
  ".csv": "csv",
  ".tsv": "csv",
  ".txt": "csv",
  ".npy": "npy",
  ".parquet": "parquet",
  ".pq": "parquet",
};

function defaultDelimiter(file: string): string {
  return path.extname(file).toLowerCase() === ".tsv" ? "\t" : ",";
}

/** Opens a table. NPY and Parquet are known by their first bytes; all else is text. */
export async function openSource(file: string, { delimiter, header, missing }: TextOptions): Promise<Source> {
  const input = await Input.open(file);
  try {
    if (isNpy(input.head)) return await NpySource.open(input);
    if (isParquet(input.head)) return await ParquetSource.open(input);
    if (input.head.includes(0) && !/^\xff\xfe|^\xfe\xff/.test(input.head.toString("latin1"))) {
      throw new DataError(`${input.name}: is neither text nor NPY nor Parquet`);
    }
    const given = delimiter === undefined ? defaultDelimiter(file) : parseDelimiter(delimiter);
    return await CsvSource.open(input, { delimiter: given, header, missing: missing ?? [] });
  } catch (error) {
    input.close();
    throw error;
  }
}

/** The format of a result: the one asked for, that of its name, or that of the input. */
export function outputFormat(asked: string | undefined, target: string, source: Source): FormatName {
  if (asked !== undefined) return asked as FormatName;
  const extension = path.extname(target).toLowerCase();
  if (target === "-" || extension === "") return source.format;
  const format = EXTENSIONS[extension];
  if (format !== undefined) return format;
  // A name such as data.bak says nothing.
  return source.format;
}

export function openSink(
  format: FormatName,
  output: Output,
  target: string,
  options: WriteOptions,
  { delimiter, header }: TextOptions,
): Sink {
  if (format === "npy") return new NpySink(output, options);
  if (format === "parquet") return new ParquetSink(output, options);
  const { source } = options;
  const like = source instanceof CsvSource ? source.options : undefined;
  let chosen = path.extname(target).toLowerCase() === ".tsv" ? "\t" : (like?.delimiter ?? ",");
  if (delimiter !== undefined) chosen = parseDelimiter(delimiter);
  return new CsvSink(output, options, { delimiter: chosen, header, missing: like?.missing ?? [] });
}

/** Checks the word after `--format`. */
export function parseFormat(given: string): FormatName {
  if (given !== "csv" && given !== "npy" && given !== "parquet") {
    throw new UsageError(`--format must be csv, npy or parquet, got ${given}`);
  }
  return given;
}
