/**
 * Parquet: columns with types, in groups of rows. One row group at a time is in memory. Numbers of all kinds are read; what
 * is scaled is written as FLOAT or DOUBLE, and what is passed through in its own type, bit by bit.
 */
import { open } from "node:fs/promises";
import {
  type FileMetaData,
  parquetMetadataAsync,
  parquetRead,
  type RowGroup,
  type SchemaElement,
  toJson,
} from "hyparquet";
import { parseDecimal } from "hyparquet/src/convert.js";
import { compressors } from "hyparquet-compressors";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import type { DType, TypedArray } from "../../core/memory.js";
import { arrayClass } from "../../core/tensor.js";
import { DataError, failAt } from "../errors.js";
import type { Input } from "../input.js";
import type { Output } from "../output.js";
import { type Batch, isMissing, type ReadOptions, type Sink, type Source, type WriteOptions } from "./format.js";
import { asStored, columnsOf, decimalScale, PARSERS, type ParquetColumn } from "./parquet-schema.js";

/** Whether a file with these first bytes is one. */
export function isParquet(head: Buffer): boolean {
  return head.toString("latin1", 0, 4) === "PAR1";
}

type Cells = ArrayLike<unknown>;
type FileHandle = Awaited<ReturnType<typeof open>>;

/** Rows handed on at a time. */
const BATCH_VALUES = 1 << 17;

export class ParquetSource implements Source {
  readonly format = "parquet";
  readonly isNamed = true;
  readonly file: string;
  readonly columns: readonly ParquetColumn[];
  readonly rows: number;
  readonly #input: Input;
  readonly #handle: FileHandle;
  readonly #metadata: FileMetaData;
  readonly #size: number;
  #rowsRead = 0;

  private constructor(input: Input, handle: FileHandle, size: number, metadata: FileMetaData) {
    this.file = input.name;
    this.columns = columnsOf(metadata.schema);
    this.rows = Number(metadata.num_rows);
    this.#input = input;
    this.#handle = handle;
    this.#size = size;
    this.#metadata = metadata;
  }

  static async open(input: Input): Promise<ParquetSource> {
    const handle = await open(await input.file());
    const { size } = await handle.stat();
    try {
      const metadata = await parquetMetadataAsync(fileBuffer(handle, size), { geoparquet: false });
      return new ParquetSource(input, handle, size, metadata);
    } catch (error) {
      await handle.close();
      failAt({ file: input.name }, `is not a whole Parquet file: ${(error as Error).message}`);
    }
  }

  dtypeOf(chosen: readonly number[]): DType {
    const isSmall = ({ element }: ParquetColumn) =>
      element.type === "FLOAT" || element.logical_type?.type === "FLOAT16";
    return chosen.every((column) => isSmall(this.columns[column])) ? "float32" : "float64";
  }

  /** What a column that is passed through is written as. */
  writable(column: number): SchemaElement {
    const { element, isFlat, name } = this.columns[column];
    if (isFlat && element.type !== "INT96") return element;
    const kind = isFlat ? "times of the outdated type INT96" : "lists or records";
    failAt(
      { file: this.file, column: column + 1, name },
      `holds ${kind}, which evenkeel does not write; leave such columns out with --drop-rest`,
    );
  }

  async *batches({ chosen, dtype, withRest, verbatim }: ReadOptions): AsyncGenerator<Batch> {
    const cellsOf = new Map<number, Cells>();
    for (const group of this.#metadata.row_groups) {
      const first = this.#rowsRead;
      const rows = Number(group.num_rows);
      const chunks = chunksByName(group);
      const read = (column: number, stored: boolean) =>
        stored ? this.#readColumn(column, chunks, rows, true) : this.#readMeant(column, chunks, rows);
      const values: TypedArray[] = [];
      for (const column of chosen) values.push(toNumbers(await read(column, false), rows, dtype, cellsOf, column));
      if (withRest) {
        for (const column of this.columns.keys()) {
          if (!chosen.includes(column)) cellsOf.set(column, await read(column, verbatim));
        }
      }
      yield* this.#split(values, dtype, first, rows, (row, column) => cellsOf.get(column)?.[row]);
      this.#rowsRead += rows;
    }
  }

  /** A row group in batches, whose values are in rows. */
  *#split(
    columns: TypedArray[],
    dtype: DType,
    first: number,
    rows: number,
    cell: (row: number, column: number) => unknown,
  ): Generator<Batch> {
    const width = columns.length;
    const most = Math.max(1, Math.floor(BATCH_VALUES / width));
    for (let from = 0; from < rows; from += most) {
      const count = Math.min(most, rows - from);
      const values = new (arrayClass(dtype))(count * width);
      for (const [j, column] of columns.entries()) {
        for (let i = 0; i < count; i++) values[i * width + j] = column[from + i];
      }
      yield { rows: count, firstRow: first + from + 1, values, cell: (row, column) => cell(from + row, column) };
    }
  }

  /** A column of a row group. The reader sees no others: it would plan for all of them each time. */
  async #readColumn(column: number, chunks: Chunks, rows: number, stored: boolean): Promise<Cells> {
    const { name, element, elements } = this.columns[column];
    const parts: Cells[] = [];
    const num_rows = BigInt(rows);
    try {
      await parquetRead({
        file: fileBuffer(this.#handle, this.#size),
        metadata: {
          ...this.#metadata,
          schema: [{ name: "schema", num_children: 1 }, ...(stored ? [asStored(element)] : elements)],
          num_rows,
          row_groups: [{ columns: chunks.get(name) ?? [], num_rows, total_byte_size: 0n }],
        },
        compressors,
        utf8: !stored,
        parsers: PARSERS,
        geoparquet: false,
        onChunk: ({ columnData }) => parts.push(columnData),
      });
    } catch (error) {
      const place = { file: this.file, row: this.#rowsRead + 1, column: column + 1, name };
      failAt(place, `cannot be read: ${(error as Error).message}`);
    }
    return parts.length === 1 ? parts[0] : joined(parts);
  }

  /** Cells as what they mean. */
  async #readMeant(column: number, chunks: Chunks, rows: number): Promise<Cells> {
    const { element, isFlat } = this.columns[column];
    const scale = decimalScale(element);
    if (scale === undefined) {
      const cells = await this.#readColumn(column, chunks, rows, false);
      // Lists and records are text that a program can read.
      return isFlat ? cells : Array.from(cells, (cell) => (isMissing(cell) ? null : JSON.stringify(toJson(cell))));
    }
    // The division rounds once, so that 456 hundredths are 4.56.
    const unit = 10 ** scale;
    const read = (cell: unknown) => (cell instanceof Uint8Array ? parseDecimal(cell) : Number(cell)) / unit;
    const cells = await this.#readColumn(column, chunks, rows, true);
    return Array.from(cells, (cell) => (isMissing(cell) ? null : read(cell)));
  }

  progress(): number | undefined {
    return this.rows === 0 ? undefined : this.#rowsRead / this.rows;
  }

  close(): void {
    this.#handle.close().catch(() => {});
    this.#input.close();
  }
}

/** The parts of a row group by the columns that they belong to. */
type Chunks = ReadonlyMap<string, RowGroup["columns"]>;

function chunksByName({ columns }: RowGroup): Chunks {
  const chunks = new Map<string, RowGroup["columns"]>();
  for (const chunk of columns) {
    const name = chunk.meta_data?.path_in_schema[0] as string;
    const known = chunks.get(name);
    if (known === undefined) chunks.set(name, [chunk]);
    else known.push(chunk);
  }
  return chunks;
}

/** A file as hyparquet reads it. */
function fileBuffer(handle: FileHandle, byteLength: number) {
  return {
    byteLength,
    async slice(start: number, end = byteLength): Promise<ArrayBuffer> {
      const bytes = new Uint8Array(end - start);
      for (let at = 0; at < bytes.length; ) {
        const { bytesRead } = await handle.read(bytes, at, bytes.length - at, start + at);
        if (bytesRead === 0) throw new Error("the file is cut off");
        at += bytesRead;
      }
      return bytes.buffer;
    },
  };
}

function joined(parts: Cells[]): Cells {
  const all: unknown[] = [];
  for (const part of parts) for (let i = 0; i < part.length; i++) all.push(part[i]);
  return all;
}

/** Cells as numbers. Where values are missing, the cells are kept too, to tell null from NaN. */
function toNumbers(cells: Cells, rows: number, dtype: DType, kept: Map<number, Cells>, column: number): TypedArray {
  const values = new (arrayClass(dtype))(rows);
  kept.delete(column);
  for (let i = 0; i < rows; i++) {
    const cell = cells[i];
    if (isMissing(cell)) {
      values[i] = NaN;
      kept.set(column, cells);
    } else values[i] = Number(cell);
  }
  // NaN is no missing value in Parquet: a cell that was not kept is one.
  if (!kept.has(column)) kept.set(column, values);
  return values;
}

/** Values of a row group at the most. */
const GROUP_VALUES = 1 << 21;

export class ParquetSink implements Sink {
  readonly #output: Output;
  readonly #options: WriteOptions;
  readonly #writer: ParquetWriter;
  readonly #bytes = new ByteWriter(1 << 20);
  readonly #schema: SchemaElement[];
  /** The row group that is filling: values of each column, and whether one is missing. */
  #columns: { cells: unknown[]; numbers: TypedArray; hasNull: boolean }[] = [];
  #rows = 0;
  readonly #capacity: number;
  /** Whether cells are as they were stored in a Parquet file. */
  readonly #isStored: boolean;

  constructor(output: Output, options: WriteOptions) {
    const { columns, dtype, source } = options;
    this.#output = output;
    this.#options = options;
    this.#capacity = Math.max(1024, Math.min(131072, Math.floor(GROUP_VALUES / columns.length)));
    this.#isStored = source instanceof ParquetSource;
    const elements = columns.map(({ name, value, source: from }): SchemaElement => {
      if (value !== undefined) {
        return { name, type: dtype === "float64" ? "DOUBLE" : "FLOAT", repetition_type: "OPTIONAL" };
      }
      if (source instanceof ParquetSource) return source.writable(from as number);
      if (source.columns[from as number].numeric) return { name, type: "DOUBLE", repetition_type: "OPTIONAL" };
      const logical = { converted_type: "UTF8", logical_type: { type: "STRING" } } as const;
      return { name, type: "BYTE_ARRAY", repetition_type: "OPTIONAL", ...logical };
    });
    const root: SchemaElement = { name: "schema", num_children: elements.length };
    this.#schema = [root, ...elements];
    this.#writer = new ParquetWriter({
      writer: this.#bytes,
      // Cells are written as they were stored; finish() writes what they mean.
      schema: this.#isStored ? [root, ...elements.map(asStored)] : this.#schema,
      createdBy: "evenkeel",
    });
    this.#start();
  }

  #start(): void {
    const { columns, dtype } = this.#options;
    this.#rows = 0;
    this.#columns = columns.map(({ value }) => ({
      cells: [],
      numbers: new (arrayClass(dtype))(value === undefined ? 0 : this.#capacity),
      hasNull: false,
    }));
  }

  async write(batch: Batch, values: TypedArray, width: number): Promise<void> {
    for (let from = 0; from < batch.rows; ) {
      const count = Math.min(batch.rows - from, this.#capacity - this.#rows);
      for (const c of this.#options.columns.keys()) this.#add(c, batch, values, width, from, count);
      this.#rows += count;
      from += count;
      if (this.#rows === this.#capacity) await this.#flush();
    }
  }

  async end(): Promise<void> {
    if (this.#rows > 0) await this.#flush();
    this.#writer.schema = this.#schema;
    await this.#writer.finish();
    await this.#drain();
  }

  #add(c: number, batch: Batch, values: TypedArray, width: number, from: number, count: number): void {
    const { value, source } = this.#options.columns[c];
    const column = this.#columns[c];
    if (value === undefined) {
      for (let i = from; i < from + count; i++) {
        const cell = batch.cell(i, source as number);
        column.cells.push(isMissing(cell) ? null : cell);
      }
      return;
    }
    for (let i = from; i < from + count; i++) {
      const y = values[i * width + value];
      const at = this.#rows + i - from;
      column.numbers[at] = y;
      if (!Number.isNaN(y) || source === undefined || !isMissing(batch.cell(i, source))) continue;
      if (!column.hasNull) column.cells = [];
      column.hasNull = true;
      column.cells[at] = null;
    }
  }

  async #flush(): Promise<void> {
    const columnData = this.#options.columns.map(({ name, value }, c) => {
      const { cells, numbers, hasNull } = this.#columns[c];
      const part = numbers.subarray(0, this.#rows);
      const type = this.#schema[c + 1].type as string;
      // A dictionary of numbers would lose the sign of zeros.
      const encoding = ["FLOAT", "DOUBLE"].includes(type) ? ("PLAIN" as const) : undefined;
      // Of cells whose meaning the writer does not know it would tell the wrong least and greatest.
      if (value === undefined) return { name, data: cells as string[], encoding, statistics: !this.#isStored };
      const data = hasNull ? Array.from(part, (y, i) => (cells[i] === null ? null : y)) : part;
      return { name, data: data as number[], encoding };
    });
    try {
      await this.#writer.write({ columnData, rowGroupSize: this.#capacity });
    } catch (error) {
      throw error instanceof DataError
        ? error
        : new DataError(`cannot be written as Parquet: ${(error as Error).message}`);
    }
    await this.#drain();
    this.#start();
  }

  /** Sends off what was written since the last time. */
  async #drain(): Promise<void> {
    await this.#output.write(this.#bytes.getBytes());
    this.#bytes.index = 0;
  }
}
