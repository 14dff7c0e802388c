/** Opens tables, whatever their format. */
import path from "node:path";
import { DataError } from "./errors.js";
import { CsvSink, CsvSource } from "./formats/csv.js";
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
    const text = { delimiter: delimiter ?? defaultDelimiter(file), header, missing: missing ?? [] };
    return await CsvSource.open(input, text);
  } catch (error) {
    input.close();
    throw error;
  }
}

/** The format of a result: the one asked for, that of its name, or that of the input. */
export function outputFormat(asked: FormatName | undefined, target: string, source: Source): FormatName {
  return asked ?? EXTENSIONS[path.extname(target).toLowerCase()] ?? source.format;
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
  const ofName = path.extname(target).toLowerCase() === ".tsv" ? "\t" : undefined;
  const text = { delimiter: ofName ?? like?.delimiter ?? delimiter ?? ",", header, missing: like?.missing ?? [] };
  return new CsvSink(output, options, text);
}
