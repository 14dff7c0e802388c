/**
 * CSV and its kin: fields between delimiters, quoted where need be (RFC 4180), a header of names.
 *
 * Bytes are taken for characters one to one (Latin-1). So the fields that are passed through come out byte by byte as they
 * went in, in UTF-8 and any other encoding that contains ASCII (but for quotes that were not needed); only names and cells
 * that a person or another format is to read are decoded.
 */
import Papa from "papaparse";
import type { DType, TypedArray } from "../../core/memory.js";
import { arrayClass } from "../../core/tensor.js";
import { failAt, quote, UsageError } from "../errors.js";
import type { Input } from "../input.js";
import type { Output } from "../output.js";
import type { Batch, Column, OutputColumn, ReadOptions, Sink, Source, WriteOptions } from "./format.js";
import { isMissing } from "./format.js";
import { formatNumber, NumberReader } from "./numbers.js";

export interface CsvOptions {
  delimiter: string;
  /** Whether the first row holds the names. */
  header: boolean;
  /** Text that stands for a missing value, beside nothing and NaN. */
  missing: readonly string[];
}

/** No honest row is longer; a quote that nothing closes would take the whole file for one. */
const LONGEST_ROW = 1 << 24;

const NON_ASCII = /[\x80-\uffff]/;
const BYTE_ORDER_MARK = "\xef\xbb\xbf";

/** Text that a person can read, of characters that are bytes. */
function decode(bytes: string): string {
  return NON_ASCII.test(bytes) ? Buffer.from(bytes, "latin1").toString("utf8") : bytes;
}

/** And back. */
function encode(text: string): string {
  return NON_ASCII.test(text) ? Buffer.from(text, "utf8").toString("latin1") : text;
}

/** The delimiter that an option means: one character, or the word tab. */
export function parseDelimiter(given: string): string {
  const delimiter = given === "tab" || given === "\\t" ? "\t" : given;
  if (delimiter.length !== 1 || NON_ASCII.test(delimiter) || '"\r\n'.includes(delimiter)) {
    throw new UsageError('It must be "tab" or one ASCII character other than a quote or line break.');
  }
  return delimiter;
}

/** Rows of text out of a CSV stream. */
class RowReader {
  hasByteOrderMark = false;
  /** What ends the first row. */
  lineBreak = "\n";
  readonly #input: Input;
  readonly #delimiter: string;
  /** The number of the next row. */
  #row = 1;

  constructor(input: Input, delimiter: string) {
    this.#input = input;
    this.#delimiter = delimiter;
  }

  /** Lists of rows, each with the number of its first. */
  async *rows(): AsyncGenerator<{ first: number; rows: string[][] }> {
    let rest = "";
    let started = false;
    for await (const chunk of this.#input.chunks()) {
      let text = rest + chunk.toString("latin1");
      if (!started) text = this.#start(text);
      started = true;
      const { data, errors, meta } = this.#parse(text, true);
      this.#checkQuotes(text, data, errors);
      rest = text.slice(meta.cursor);
      if (rest.length > LONGEST_ROW) this.#failOnLength(rest, data.length);
      if (data.length > 0) yield this.#take(data);
    }
    if (rest === "") return;
    const { data, errors } = this.#parse(rest, false);
    this.#checkQuotes(rest, data, errors);
    yield this.#take(data);
  }

  #start(text: string): string {
    if (text.startsWith("\xff\xfe") || text.startsWith("\xfe\xff")) {
      failAt({ file: this.#input.name }, "is UTF-16 text; convert it to UTF-8 first");
    }
    if (text[text.indexOf("\n") - 1] === "\r") this.lineBreak = "\r\n";
    this.hasByteOrderMark = text.startsWith(BYTE_ORDER_MARK);
    return this.hasByteOrderMark ? text.slice(BYTE_ORDER_MARK.length) : text;
  }

  #parse(text: string, isPart: boolean): Papa.ParseResult<string[]> {
    const parser = new Papa.Parser({ delimiter: this.#delimiter, newline: "\n" });
    return (parser.parse as (text: string, base: number, isPart: boolean) => Papa.ParseResult<string[]>)(
      text,
      0,
      isPart,
    );
  }

  #take(rows: string[][]): { first: number; rows: string[][] } {
    const first = this.#row;
    this.#row += rows.length;
    if (this.lineBreak === "\r\n") {
      // The parser splits at \n, so that a file may mix both.
      for (const row of rows) {
        const last = row[row.length - 1];
        if (last.charCodeAt(last.length - 1) === 13) row[row.length - 1] = last.slice(0, -1);
      }
    }
    return { first, rows };
  }

  #checkQuotes(text: string, data: string[][], errors: Papa.ParseError[]): void {
    // In a row that is not whole yet, what looks like an error may be its end.
    const error = errors.find(({ row, code }) => (row as number) < data.length || code === "MissingQuotes");
    if (error === undefined) return;
    const row = error.row as number;
    // The parser tells where the field begins. As many fields as stand before it in its row give its column.
    const { data: before } = this.#parse(text.slice(0, Math.max((error.index as number) - 1, 0)), false);
    const place = { file: this.#input.name, row: this.#row + row, column: before[row]?.length ?? 1 };
    if (error.code === "MissingQuotes") failAt(place, "the quoted field has no closing quote");
    failAt(place, 'text follows the closing quote of a quoted field; a quote within such a field is written ""');
  }

  #failOnLength(rest: string, rows: number): never {
    const place = { file: this.#input.name, row: this.#row + rows };
    if (!rest.includes("\n")) failAt(place, "is longer than 16 MB; does the file have line breaks?");
    failAt(place, "is longer than 16 MB; a quote that is not closed begins in it");
  }
}

export class CsvSource implements Source {
  readonly format = "csv";
  readonly rows = undefined;
  readonly file: string;
  readonly columns: readonly Column[];
  readonly isNamed: boolean;
  readonly options: CsvOptions;
  readonly #input: Input;
  readonly #reader: RowReader;
  readonly #rows: AsyncGenerator<{ first: number; rows: string[][] }>;
  readonly #numbers: NumberReader;
  /** The header as it was written. */
  readonly header: readonly string[];
  #first: { first: number; rows: string[][] };

  private constructor(
    input: Input,
    options: CsvOptions,
    reader: RowReader,
    rows: AsyncGenerator<{ first: number; rows: string[][] }>,
    first: { first: number; rows: string[][] },
  ) {
    this.#input = input;
    this.file = input.name;
    this.options = options;
    this.#reader = reader;
    this.#rows = rows;
    this.#numbers = new NumberReader(options.missing.map(encode));
    this.isNamed = options.header;
    this.header = first.rows[0];
    this.#first = options.header ? { first: 2, rows: first.rows.slice(1) } : first;
    this.columns = this.header.map((name, i) => ({ name: options.header ? decode(name) : `column${i + 1}` }));
  }

  static async open(input: Input, options: CsvOptions): Promise<CsvSource> {
    const reader = new RowReader(input, options.delimiter);
    const rows = reader.rows();
    const { value: first } = await rows.next();
    if (first === undefined) failAt({ file: input.name }, "is empty");
    return new CsvSource(input, options, reader, rows, first);
  }

  /** What ends a row. */
  get lineBreak(): string {
    return this.#reader.lineBreak;
  }

  get hasByteOrderMark(): boolean {
    return this.#reader.hasByteOrderMark;
  }

  dtypeOf(): DType {
    return "float64";
  }

  async *batches(options: ReadOptions): AsyncGenerator<Batch> {
    let part: IteratorResult<{ first: number; rows: string[][] }, void> = { value: this.#first, done: false };
    this.#first = { first: 0, rows: [] };
    let blank = 0;
    while (!part.done) {
      const { first, rows } = part.value;
      blank = this.#checkRows(first, rows, blank);
      if (rows.length > 0) yield this.#batch(first, rows, options);
      part = await this.#rows.next();
    }
  }

  /** Checks the number of fields. Blank lines at the end are dropped; the number of the first is returned, else 0. */
  #checkRows(first: number, rows: string[][], blank: number): number {
    const wanted = this.columns.length;
    let firstBlank = blank;
    for (let i = 0; i < rows.length; i++) {
      const found = rows[i].length;
      if (found === wanted && firstBlank === 0) continue;
      const isBlank = wanted > 1 && found === 1 && rows[i][0] === "";
      if (isBlank) firstBlank ||= first + i;
      else if (firstBlank > 0)
        failAt({ file: this.file, row: firstBlank }, "is blank, and rows follow; remove the line");
      else this.#failOnFields(first + i, found);
    }
    if (firstBlank > 0) rows.length = Math.max(0, firstBlank - first);
    return firstBlank;
  }

  #failOnFields(row: number, found: number): never {
    const wanted = this.columns.length;
    const like = this.isNamed ? "the header" : "row 1";
    const counts = `${found} ${found === 1 ? "field" : "fields"} where ${like} has ${wanted}`;
    if (found > wanted) failAt({ file: this.file, row, column: wanted + 1 }, counts);
    failAt({ file: this.file, row, column: found + 1, name: this.#nameOf(found) }, `is missing: ${counts}`);
  }

  #nameOf(column: number): string | undefined {
    return this.isNamed ? this.columns[column].name : undefined;
  }

  #batch(first: number, rows: string[][], { chosen, dtype, verbatim, onText }: ReadOptions): Batch {
    const fail = (row: number, column: number, text: string) => this.#failOnCell(row, column, text);
    const takeText = onText ?? fail;
    const width = chosen.length;
    const values = new (arrayClass(dtype))(rows.length * width);
    let at = 0;
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i];
      for (let j = 0; j < width; j++) {
        const text = row[chosen[j]];
        const value = this.#numbers.parse(text);
        if (value === undefined) takeText(first + i, chosen[j], text);
        values[at++] = value ?? NaN;
      }
    }
    return {
      rows: rows.length,
      firstRow: first,
      values,
      cell: verbatim ? (row, column) => rows[row][column] : (row, column) => decode(rows[row][column]),
    };
  }

  #failOnCell(row: number, column: number, text: string): void {
    const place = { file: this.file, row, column: column + 1, name: this.#nameOf(column) };
    const cell = decode(text);
    const name = this.#nameOf(column) ?? String(column + 1);
    failAt(
      place,
      `${quote(cell)} is not a number; if it marks a missing value, add --missing ${quote(cell)}; ` +
        `if the column is not to be scaled, add --except ${quote(name)}`,
    );
  }

  progress(): number | undefined {
    return this.#input.size === undefined ? undefined : this.#input.bytesRead / this.#input.size;
  }

  close(): void {
    this.#input.close();
  }
}

/** Text of a cell that came from any format. */
function textOf(cell: unknown): string {
  if (cell === null || cell === undefined) return "";
  if (cell instanceof Uint8Array) return Buffer.from(cell).toString("base64");
  return String(cell);
}

export class CsvSink implements Sink {
  readonly #output: Output;
  readonly #columns: readonly OutputColumn[];
  readonly #delimiter: string;
  readonly #lineBreak: string;
  /** Characters that have a meaning outside of quotes. */
  readonly #special: RegExp;
  readonly #format: (value: number) => string;
  readonly #numbers: NumberReader;
  readonly #isVerbatim: boolean;
  #text: string;

  constructor(output: Output, { columns, dtype, source }: WriteOptions, options: CsvOptions) {
    this.#output = output;
    this.#columns = columns;
    this.#delimiter = options.delimiter;
    this.#special = new RegExp(`["\\r\\n${options.delimiter === "\\" ? "\\\\" : options.delimiter}]`);
    this.#format = formatNumber(dtype);
    this.#numbers = new NumberReader(options.missing.map(encode));
    const csv = source instanceof CsvSource ? source : undefined;
    this.#isVerbatim = csv !== undefined;
    this.#lineBreak = csv?.lineBreak ?? "\n";
    this.#text = csv?.hasByteOrderMark ? BYTE_ORDER_MARK : "";
    if (!options.header) return;
    const names = columns.map(({ name, source: from }) => {
      const isOld = from !== undefined && csv?.columns[from].name === name;
      return isOld ? csv.header[from] : encode(name);
    });
    this.#text += names.map((name) => this.#quoted(name)).join(options.delimiter) + this.#lineBreak;
  }

  async write(batch: Batch, values: TypedArray, width: number): Promise<void> {
    const columns = this.#columns;
    const delimiter = this.#delimiter;
    const lineBreak = this.#lineBreak;
    let text = this.#text;
    this.#text = "";
    for (let i = 0; i < batch.rows; i++) {
      for (let c = 0; c < columns.length; c++) {
        const { value, source } = columns[c];
        if (c > 0) text += delimiter;
        if (value === undefined) text += this.#cell(batch.cell(i, source as number));
        else {
          const y = values[i * width + value];
          text += Number.isNaN(y) ? this.#missing(source === undefined ? NaN : batch.cell(i, source)) : this.#format(y);
        }
      }
      text += lineBreak;
    }
    await this.#output.write(Buffer.from(text, "latin1"));
  }

  async end(): Promise<void> {
    if (this.#text !== "") await this.#output.write(Buffer.from(this.#text, "latin1"));
  }

  /** A missing value as it was written in the input: as nothing, NaN or a mark. NaN where there was a number. */
  #missing(cell: unknown): string {
    if (isMissing(cell)) return "";
    return typeof cell === "string" && Number.isNaN(this.#numbers.parse(cell)) ? this.#cell(cell) : "NaN";
  }

  #cell(cell: unknown): string {
    return this.#quoted(this.#isVerbatim ? (cell as string) : encode(textOf(cell)));
  }

  #quoted(text: string): string {
    return this.#special.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }
}
