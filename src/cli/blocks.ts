/** Rows in blocks of a fixed size, so that what is learned of them does not depend on how they were read. */
import type { DType, TypedArray } from "../core/memory.js";
import { arrayClass } from "../core/tensor.js";
import { failAt, type Place } from "./errors.js";
import type { ReadOptions, Source } from "./formats/format.js";
import { Progress } from "./progress.js";

/** Values of a block, about: large against the work for each block, small against the memory. */
const BLOCK_VALUES = 1 << 18;

export interface Block {
  readonly values: TypedArray;
  readonly rows: number;
}

export interface BlocksOptions {
  /** The columns to read, counted from 0. */
  chosen: readonly number[];
  dtype: DType;
  /** A word for the progress bar. */
  task: string;
  onText?: ReadOptions["onText"];
  /** Whether a missing value may be what made `use` throw. */
  isComplete?: boolean;
}

/** Reads the chosen columns of a table to its end; `use` is called with each block. Returns the number of rows. */
export async function readBlocks(
  source: Source,
  { chosen, dtype, task, onText, isComplete = false }: BlocksOptions,
  use: (block: Block) => void,
): Promise<number> {
  const width = chosen.length;
  const most = Math.max(1, Math.floor(BLOCK_VALUES / width));
  const block = new (arrayClass(dtype))(most * width);
  const progress = new Progress(source, task);
  let filled = 0;
  let rows = 0;
  // The row that the block begins with, for messages.
  let firstRow = 0;
  const flush = () => {
    const values = block.subarray(0, filled);
    try {
      use({ values, rows: filled / width });
    } catch (error) {
      failOnCell(source, chosen, values, firstRow, isComplete);
      throw error;
    }
    filled = 0;
  };
  try {
    for await (const batch of source.batches({ chosen, dtype, withRest: false, verbatim: true, onText })) {
      for (let at = 0; at < batch.values.length; ) {
        if (filled === 0) firstRow = batch.firstRow + at / width;
        const count = Math.min(block.length - filled, batch.values.length - at);
        block.set(batch.values.subarray(at, at + count), filled);
        filled += count;
        at += count;
        if (filled === block.length) flush();
      }
      rows += batch.rows;
      progress.update(rows);
    }
    if (filled > 0) flush();
  } finally {
    progress.stop();
  }
  return rows;
}

/** Scalers tell a value that they refuse by its place in the block: this tells its place in the file. */
function failOnCell(
  source: Source,
  chosen: readonly number[],
  values: TypedArray,
  firstRow: number,
  isComplete: boolean,
): void {
  const at = values.findIndex((value) => Math.abs(value) === Infinity || (isComplete && Number.isNaN(value)));
  if (at < 0) return;
  const column = chosen[at % chosen.length];
  const place: Place = { file: source.file, row: firstRow + Math.floor(at / chosen.length), column: column + 1 };
  if (source.isNamed) place.name = source.columns[column].name;
  if (Number.isNaN(values[at]))
    failAt(place, "is missing, and this method learns from whole rows alone; remove the row");
  failAt(place, `${values[at]} has no place in statistics; remove the row, or leave the cell empty`);
}
