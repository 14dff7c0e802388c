/** What the file formats have in common: tables come in as batches of rows, and go out as such. */
import type { DType, TypedArray } from "../../core/memory.js";

export type FormatName = "csv" | "npy" | "parquet";

export interface Column {
  readonly name: string;
  /** Whether it can hold only numbers, or none; undefined where only its cells can tell. */
  readonly numeric?: boolean;
}

/** Some rows of a table. */
export interface Batch {
  readonly rows: number;
  /** The number of the first row, as errors count. */
  readonly firstRow: number;
  /** The chosen columns, row by row; NaN where a value is missing. */
  readonly values: TypedArray;
  /** What was read in a cell, of any column. Empty text, null and undefined are missing values. */
  cell(row: number, column: number): unknown;
}

export interface ReadOptions {
  /** The columns to read numbers from, counted from 0. */
  readonly chosen: readonly number[];
  readonly dtype: DType;
  /** Whether the others are needed too. */
  readonly withRest: boolean;
  /** The rest goes to the same format: it may stay as it was stored. */
  readonly verbatim: boolean;
  /** Called for a cell of text in a chosen column, which then counts as missing. Default: such a cell is an error. */
  readonly onText?: (row: number, column: number, text: string) => void;
}

/** A table that is read from its start to its end, once. */
export interface Source {
  readonly format: FormatName;
  /** How messages call it. */
  readonly file: string;
  readonly columns: readonly Column[];
  /** Whether the columns have names of their own. */
  readonly isNamed: boolean;
  /** The element type that holds its values. */
  dtypeOf(chosen: readonly number[]): DType;
  /** The number of rows, where that is known beforehand. */
  readonly rows: number | undefined;
  batches(options: ReadOptions): AsyncGenerator<Batch>;
  /** The part that was read, 0 to 1; undefined where the whole is not known. */
  progress(): number | undefined;
  close(): void;
}

/** A column of a result: scaled values, or cells as they were read. */
export interface OutputColumn {
  readonly name: string;
  /** Which of the scaled values, counted from 0; undefined for a column that is passed through. */
  readonly value?: number;
  /** The column of the source that it stands for, counted from 0; undefined for new columns. */
  readonly source?: number;
}

export interface WriteOptions {
  readonly columns: readonly OutputColumn[];
  readonly dtype: DType;
  /** The table that the cells are from. */
  readonly source: Source;
}

/** Where the rows of a result go. */
export interface Sink {
  /** `values`: the scaled values of the batch, row by row, `width` in each. */
  write(batch: Batch, values: TypedArray, width: number): Promise<void>;
  end(): Promise<void>;
}

/** Whether a cell says that there is no value. */
export function isMissing(cell: unknown): boolean {
  return cell === null || cell === undefined || cell === "";
}
