/**
 * Feeds arrays to kernels. Arrays in linear memory are passed by address; heap arrays are copied through a staging block
 * that stays in the first-level cache, chunk by chunk, so that a large array needs no second copy of itself.
 *
 * Chunks end on the blocks of the kernels' reduction trees, so results have the same bits however an array came in.
 */
import { copyShort, elementBytes, heapOf, scratch, withScratch } from "./memory.js";
import { elementsOf, fillRange, type Operand, type Target } from "./tensor.js";

/** Bytes of one array that are staged at a time. */
let stageBytes = 1 << 14;

/** Staging blocks that neighbouring groups may fill: more than a chunk, since a group is not cut. */
const GROUP_STAGES = 4;

/** Chunk size of work whose bits depend on the chunks. */
const FIXED_BYTES = 1 << 17;

/** Sets the size of the staging block, for tests of chunking; returns the former one. @internal */
export function setStageBytes(bytes: number): number {
  const former = stageBytes;
  stageBytes = bytes;
  return former;
}

export interface Plan {
  /** Rows (runs of n elements) to work on, and the first of them. */
  rows: number;
  n: number;
  firstRow?: number;
  /** Chunks hold a multiple of this many rows. */
  rowMultiple?: number;
  /** A row too long for the staging block may be cut at multiples of this many elements; absent = never cut. */
  cut?: number;
  /** The same chunks for all arrays, in linear memory too, for work whose bits depend on the chunks. */
  fixed?: boolean;
}

/** A chunk: `rows` rows from `row` on, elements [offset, offset + n) of each; offset > 0 only in a row of its own. */
export interface Chunk {
  row: number;
  rows: number;
  offset: number;
  n: number;
}

/**
 * Calls `run` for each chunk with the addresses of the inputs, then of the outputs. All arrays are [*, n] alike. Output i
 * shares the staging block of input i where both are staged, since every kernel may work in place.
 */
export function stream(
  plan: Plan,
  inputs: readonly Operand[],
  outputs: readonly Target[],
  run: (pointers: number[], chunk: Chunk) => void,
): void {
  const { rows, n, firstRow = 0, rowMultiple = 1, cut, fixed = false } = plan;
  const width = elementBytes((inputs[0] ?? outputs[0]).dtype);
  const pointers: number[] = [];
  let direct = !fixed;
  const skip = firstRow * n * width;
  for (const input of inputs) {
    pointers.push(input.pointer + skip);
    direct &&= input.heap === null;
  }
  for (const output of outputs) {
    pointers.push(output.pointer + skip);
    direct &&= !output.staged;
  }
  if (direct) {
    run(pointers, { row: firstRow, rows, offset: 0, n });
    return;
  }
  const limit = fixed ? FIXED_BYTES : stageBytes;
  let chunkRows = Math.floor(limit / (n * width * rowMultiple)) * rowMultiple;
  let chunkN = n;
  if (chunkRows === 0) {
    if (cut === undefined) chunkRows = rowMultiple;
    else {
      chunkRows = 1;
      chunkN = Math.min(n, Math.max(1, Math.floor(limit / (width * cut))) * cut);
    }
  }
  if (chunkRows > rows) chunkRows = rows;
  withScratch(() => {
    const bytes = chunkRows * chunkN * width;
    const stages = inputs.map((input) => (input.heap === null ? 0 : scratch(bytes)));
    const outStages = outputs.map((output, i) => (output.staged ? stages[i] || scratch(bytes) : 0));
    for (let row = firstRow; row < firstRow + rows; row += chunkRows) {
      const count = Math.min(chunkRows, firstRow + rows - row);
      for (let offset = 0; offset < n; offset += chunkN) {
        const length = Math.min(chunkN, n - offset);
        const from = row * n + offset;
        const elements = count === 1 ? length : count * n;
        for (let i = 0; i < inputs.length; i++) {
          const { heap, pointer } = inputs[i];
          if (heap === null) pointers[i] = pointer + from * width;
          else {
            pointers[i] = stages[i];
            const all = elements === heap.length;
            heapOf(inputs[i].dtype).set(all ? heap : heap.subarray(from, from + elements), stages[i] / width);
          }
        }
        for (let i = 0; i < outputs.length; i++) {
          pointers[inputs.length + i] = outStages[i] || outputs[i].pointer + from * width;
        }
        run(pointers, { row, rows: count, offset, n: length });
        for (let i = 0; i < outputs.length; i++) {
          if (outStages[i]) outputs[i].take(outStages[i], from, elements);
        }
      }
    }
  });
}

/**
 * Groups of runs in channels-first data: `bands` of samples, each with `groups` groups side by side. A group has a part in
 * each sample of its band, `length` elements long; a band has `parts` samples, the last `lastParts`.
 */
export interface Tiles {
  bands: number;
  groups: number;
  parts: number;
  lastParts: number;
  length: number;
}

/**
 * Calls `run` for neighbouring groups [first, first + size) with the addresses of their first part in the inputs, then in
 * the outputs, and with the elements from part to part. Heap arrays are copied through a staging block, some groups at a
 * time; false, with nothing done, where one group does not fit it. Output i shares the block of input i.
 */
export function streamGroups(
  { bands, groups, parts, lastParts, length }: Tiles,
  inputs: readonly Operand[],
  outputs: readonly Target[],
  run: (pointers: number[], first: number, size: number, parts: number, step: number) => void,
): boolean {
  const { dtype } = inputs[0];
  const width = elementBytes(dtype);
  const row = groups * length;
  const pointers: number[] = [];
  if (inputs.every((input) => input.heap === null) && outputs.every((output) => !output.staged)) {
    for (let band = 0; band < bands; band++) {
      const skip = band * parts * row * width;
      for (let i = 0; i < inputs.length; i++) pointers[i] = inputs[i].pointer + skip;
      for (let i = 0; i < outputs.length; i++) pointers[inputs.length + i] = outputs[i].pointer + skip;
      run(pointers, band * groups, groups, band < bands - 1 ? parts : lastParts, row);
    }
    return true;
  }
  const atOnce = Math.min(groups, Math.floor((GROUP_STAGES * stageBytes) / (parts * length * width)));
  if (atOnce === 0) return false;
  withScratch(() => {
    const stages = inputs.map(() => scratch(atOnce * parts * length * width));
    for (let band = 0; band < bands; band++) {
      const present = band < bands - 1 ? parts : lastParts;
      for (let group = 0; group < groups; group += atOnce) {
        const size = Math.min(atOnce, groups - group);
        const elements = size * length;
        const from = band * parts * row + group * length;
        // All groups at once are one piece.
        const pieces = size === groups ? 1 : present;
        const piece = (elements * present) / pieces;
        for (let i = 0; i < inputs.length; i++) {
          const source = elementsOf(inputs[i]);
          const heap = heapOf(dtype);
          for (let part = 0; part < pieces; part++) {
            const at = from + part * row;
            heap.set(source.subarray(at, at + piece), stages[i] / width + part * piece);
          }
          pointers[i] = stages[i];
        }
        for (let i = 0; i < outputs.length; i++) pointers[inputs.length + i] = stages[i];
        run(pointers, band * groups + group, size, present, elements);
        for (let i = 0; i < outputs.length; i++) {
          for (let part = 0; part < pieces; part++) {
            outputs[i].take(stages[i] + part * piece * width, from + part * row, piece);
          }
        }
      }
    }
  });
  return true;
}

/** The address of a whole array in linear memory: its own, or a copy in scratch, converted to `dtype`. */
export function stageWhole(operand: Operand | undefined, dtype: Operand["dtype"]): number {
  if (operand === undefined) return 0;
  if (operand.heap === null && operand.dtype === dtype) return operand.pointer;
  const pointer = scratch(operand.length * elementBytes(dtype));
  const heap = heapOf(dtype);
  const at = pointer / elementBytes(dtype);
  if (operand.heap !== null) heap.set(operand.heap, at);
  else {
    const from = operand.pointer / elementBytes(operand.dtype);
    heap.set(heapOf(operand.dtype).subarray(from, from + operand.length), at);
  }
  return pointer;
}

/** f64 values in scratch. */
export function stageF64(values: ArrayLike<number>): number {
  return stageValues(values, "float64");
}

/** f64 values in scratch, rounded to `dtype`. */
export function stageValues(values: ArrayLike<number>, dtype: Operand["dtype"]): number {
  const width = elementBytes(dtype);
  const pointer = scratch(values.length * width);
  copyShort(heapOf(dtype), pointer / width, values, 0, values.length);
  return pointer;
}

/** A vector argument that has been checked, as f64 values in scratch; `fallback` in each of n places where it is absent. */
export function stageVector(found: Operand | undefined, n: number, fallback: number): number {
  const pointer = scratch(8 * n);
  fillRange(heapOf("float64") as Float64Array, pointer / 8, n, found, fallback);
  return pointer;
}
