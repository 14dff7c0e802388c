/**
 * NumPy's .npy: a header that tells shape and element type, then the elements. Read and written are tables of
 * little-endian f4 and f8, row by row (C order).
 *
 * Source: NumPy Enhancement Proposal 1, versions 1.0 to 3.0 of the format.
 */
import type { DType, TypedArray } from "../../core/memory.js";
import { arrayClass } from "../../core/tensor.js";
import { DataError, failAt, quote } from "../errors.js";
import type { Input } from "../input.js";
import type { Output } from "../output.js";
import {
  type Batch,
  type Column,
  isMissing,
  type ReadOptions,
  type Sink,
  type Source,
  type WriteOptions,
} from "./format.js";
import { NumberReader } from "./numbers.js";

const MAGIC = Buffer.from("\x93NUMPY", "latin1");

/** Whether a file with these first bytes is one. */
export function isNpy(head: Buffer): boolean {
  return head.subarray(0, MAGIC.length).equals(MAGIC);
}

interface Header {
  dtype: DType;
  shape: number[];
}

/** The header's text is a Python dictionary with three known keys. */
function parseHeader(file: string, text: string): Header {
  const descr = /'descr'\s*:\s*(?:'([^']*)'|(\[))/.exec(text);
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(text);
  const shape = /'shape'\s*:\s*\(([\d\s,L]*)\)/.exec(text);
  if (!descr || !order || !shape) failAt({ file }, `has a header that cannot be read: ${quote(text.trim())}`);
  const dtype = { "<f4": "float32", "<f8": "float64" }[descr[1]] as DType | undefined;
  if (dtype === undefined) {
    const found = descr[2] ? "a structured type" : descr[1];
    failAt({ file }, `holds elements of ${found}, where <f4 or <f8 is needed; save array.astype("<f8")`);
  }
  const sizes = (shape[1].match(/\d+/g) ?? []).map(Number);
  if (sizes.length !== 1 && sizes.length !== 2) {
    failAt(
      { file },
      `has shape (${sizes.join(", ")}), where (rows, columns) is needed; save array.reshape(len(array), -1)`,
    );
  }
  if (order[1] === "True" && sizes.length > 1) {
    failAt({ file }, "is in Fortran order, where C order is needed; save numpy.ascontiguousarray(array)");
  }
  return { dtype, shape: sizes };
}

export class NpySource implements Source {
  readonly format = "npy";
  readonly isNamed = false;
  readonly file: string;
  readonly columns: readonly Column[];
  readonly rows: number;
  /** A plain list of numbers, to be written as such again. */
  readonly isList: boolean;
  readonly #input: Input;
  readonly #dtype: DType;
  readonly #chunks: AsyncGenerator<Buffer>;
  /** What was read beyond the header. */
  #rest: Buffer;

  private constructor(input: Input, { dtype, shape }: Header, chunks: AsyncGenerator<Buffer>, rest: Buffer) {
    this.file = input.name;
    this.rows = shape[0];
    this.isList = shape.length === 1;
    this.columns = Array.from({ length: shape[1] ?? 1 }, (_, i) => ({ name: `column${i + 1}`, numeric: true }));
    this.#input = input;
    this.#dtype = dtype;
    this.#chunks = chunks;
    this.#rest = rest;
  }

  static async open(input: Input): Promise<NpySource> {
    const chunks = input.chunks();
    let bytes = Buffer.alloc(0);
    const need = async (length: number) => {
      while (bytes.length < length) {
        const { value, done } = await chunks.next();
        if (done) failAt({ file: input.name }, "ends within its header");
        bytes = Buffer.concat([bytes, value]);
      }
    };
    await need(12);
    const isFirstVersion = bytes[6] === 1;
    const from = isFirstVersion ? 10 : 12;
    const to = from + (isFirstVersion ? bytes.readUInt16LE(8) : bytes.readUInt32LE(8));
    if (bytes[6] < 1 || bytes[6] > 3)
      failAt({ file: input.name }, `is of version ${bytes[6]} of the format, not 1 to 3`);
    if (to > 1 << 20) failAt({ file: input.name }, "has a header of more than 1 MB");
    await need(to);
    const header = parseHeader(input.name, bytes.toString("latin1", from, to));
    return new NpySource(input, header, chunks, bytes.subarray(to));
  }

  dtypeOf(): DType {
    return this.#dtype;
  }

  async *batches({ chosen, dtype }: ReadOptions): AsyncGenerator<Batch> {
    const width = this.columns.length;
    const rowBytes = width * (this.#dtype === "float64" ? 8 : 4);
    let firstRow = 1;
    let rest = this.#rest;
    for (;;) {
      const rows = rowBytes === 0 ? 0 : Math.floor(rest.length / rowBytes);
      if (firstRow - 1 + rows > this.rows || (firstRow - 1 === this.rows && rest.length > 0)) {
        failAt({ file: this.file }, `holds more data than its shape (${this.rows}, ${width}) takes`);
      }
      if (rows > 0) {
        const all = this.#elements(rest, rows * width);
        yield {
          rows,
          firstRow,
          values: gather(all, rows, width, chosen, dtype),
          cell: (row, column) => all[row * width + column],
        };
        firstRow += rows;
        rest = rest.subarray(rows * rowBytes);
      }
      const { value, done } = await this.#chunks.next();
      if (done) break;
      rest = rest.length === 0 ? value : Buffer.concat([rest, value]);
    }
    if (firstRow - 1 < this.rows) {
      failAt(
        { file: this.file, row: firstRow },
        `is missing or cut off: the shape (${this.rows}, ${width}) takes more data`,
      );
    }
  }

  #elements(bytes: Buffer, length: number): TypedArray {
    const values = new (arrayClass(this.#dtype))(length);
    new Uint8Array(values.buffer).set(bytes.subarray(0, values.byteLength));
    return values;
  }

  progress(): number | undefined {
    return this.#input.size === undefined ? undefined : this.#input.bytesRead / this.#input.size;
  }

  close(): void {
    this.#input.close();
  }
}

/** Some columns of rows, in the element type asked for; always a copy. */
function gather(all: TypedArray, rows: number, width: number, chosen: readonly number[], dtype: DType): TypedArray {
  const ArrayClass = arrayClass(dtype);
  if (chosen.length === width && chosen.every((column, j) => column === j)) return ArrayClass.from(all);
  const values = new ArrayClass(rows * chosen.length);
  let at = 0;
  for (let i = 0; i < rows; i++) for (const column of chosen) values[at++] = all[i * width + column];
  return values;
}

/** Room for the header: its length is a multiple of 64, and rows are counted only at the end. */
const HEADER_BYTES = 128;

function headerOf(dtype: DType, shape: readonly number[]): Buffer {
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const text = `{'descr': '${dtype === "float64" ? "<f8" : "<f4"}', 'fortran_order': False, 'shape': (${sizes}), }`;
  const header = Buffer.alloc(HEADER_BYTES, " ");
  MAGIC.copy(header);
  header.writeUInt8(1, 6);
  header.writeUInt8(0, 7);
  header.writeUInt16LE(HEADER_BYTES - 10, 8);
  header.write(text, 10, "latin1");
  header.write("\n", HEADER_BYTES - 1);
  return header;
}

export class NpySink implements Sink {
  readonly #output: Output;
  readonly #options: WriteOptions;
  readonly #numbers = new NumberReader();
  /** The number of rows that the header tells. */
  readonly #announced: number | undefined;
  #rows = 0;

  constructor(output: Output, options: WriteOptions) {
    this.#output = output;
    this.#options = options;
    this.#announced = options.source.rows;
    if (this.#announced === undefined && !output.canPatch) {
      throw new DataError(
        "NPY begins with the number of rows, which is known only at the end: it cannot be written to a device",
      );
    }
  }

  async write(batch: Batch, values: TypedArray, width: number): Promise<void> {
    if (this.#rows === 0) await this.#writeHeader();
    this.#rows += batch.rows;
    const { columns, dtype } = this.#options;
    const isWhole = columns.length === width && columns.every(({ value }, j) => value === j);
    const rows = isWhole ? arrayClass(dtype).from(values) : this.#assemble(batch, values, width);
    await this.#output.write(new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength));
  }

  async end(): Promise<void> {
    if (this.#rows === 0) await this.#writeHeader();
    if (this.#announced !== this.#rows) this.#output.patch(this.#header(this.#rows), 0);
  }

  async #writeHeader(): Promise<void> {
    await this.#output.write(this.#header(this.#announced ?? 0));
  }

  #header(rows: number): Buffer {
    const { columns, dtype, source } = this.#options;
    const isList = source instanceof NpySource && source.isList && columns.length === 1;
    return headerOf(dtype, isList ? [rows] : [rows, columns.length]);
  }

  #assemble(batch: Batch, values: TypedArray, width: number): TypedArray {
    const { columns, dtype } = this.#options;
    const rows = new (arrayClass(dtype))(batch.rows * columns.length);
    let at = 0;
    for (let i = 0; i < batch.rows; i++) {
      for (const { value, source } of columns) {
        rows[at++] = value === undefined ? this.#number(batch, i, source as number) : values[i * width + value];
      }
    }
    return rows;
  }

  #number(batch: Batch, row: number, column: number): number {
    const cell = batch.cell(row, column);
    if (typeof cell === "number" || typeof cell === "bigint") return Number(cell);
    const value = isMissing(cell) ? NaN : typeof cell === "string" ? this.#numbers.parse(cell) : undefined;
    if (value === undefined) {
      const { file, columns } = this.#options.source;
      failAt(
        { file, row: batch.firstRow + row, column: column + 1, name: columns[column].name },
        `${quote(String(cell))} is not a number, and NPY holds nothing else; leave such columns out with --drop-rest`,
      );
    }
    return value;
  }
}
