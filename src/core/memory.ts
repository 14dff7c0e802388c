/** The one linear memory: a free list for tensors, and an arena for what a call needs on the way. */
import { kernelMemory, kernelRooms } from "./instance.js";
import { COLUMNS, kernels, LINEAR } from "./parts.js";

export type DType = "float32" | "float64";
export type TypedArray = Float32Array | Float64Array;

const PAGE = 65536;
/**
 * Scratch that is always there; a call that needs more takes it from the free list for its duration. The memory starts
 * with pages enough for it: growth detaches the old buffer, and V8 then runs all typed-array code of the thread slower.
 */
const ARENA_BYTES = 1 << 20;
/** Every block ends with room for a vector load that starts at its last element. */
const SLACK = 16;
const ALIGN = 64;

/** There is none before the first call. */
let memory: WebAssembly.Memory;
/** That of the memory and of its views, whose getters take longer. */
let buffer: ArrayBufferLike;
let bytes8: Uint8Array;
let floats32: Float32Array;
let floats64: Float64Array;

/** The buffers that a shared memory has had: unlike others, they are not detached when it grows. */
let sharedBuffers: WeakSet<ArrayBufferLike> | undefined;

let arenaStart = 0;
let arenaTop = 0;
let arenaEnd = 0;
/** Blocks of the free list that stand in for the arena, newest last. */
const overflow: number[] = [];

/** Free blocks by address, as (start, size) pairs; live blocks by start. */
const free: Array<{ start: number; size: number }> = [];
const live = new Map<number, number>();

function start(): void {
  memory = kernelMemory();
  if (!(memory.buffer instanceof ArrayBuffer)) sharedBuffers = new WeakSet();
  const [first, ...others] = kernelRooms();
  arenaStart = align(first.start);
  arenaTop = arenaStart;
  arenaEnd = arenaStart + ARENA_BYTES;
  takeViews();
  addFree(arenaEnd, first.end - arenaEnd);
  for (const { start, end } of others) addFree(start, end - start);
}

function takeViews(): void {
  buffer = memory.buffer;
  sharedBuffers?.add(buffer);
  bytes8 = new Uint8Array(buffer);
  floats32 = new Float32Array(buffer);
  floats64 = new Float64Array(buffer);
}

/** Has views reach as far as the memory does, which another thread that shares it may have grown. */
export function renewViews(): void {
  if (memory !== undefined) takeViews();
}

function align(n: number): number {
  return Math.ceil(n / ALIGN) * ALIGN;
}

/** The whole memory as elements of one type. Growth replaces it: never keep it over an allocation. */
export function heapOf(dtype: DType): TypedArray {
  if (memory === undefined) start();
  return dtype === "float64" ? floats64 : floats32;
}

export function heap8(): Uint8Array {
  if (memory === undefined) start();
  return bytes8;
}

export function heap64(): Float64Array {
  if (memory === undefined) start();
  return floats64;
}

export function elementBytes(dtype: DType): number {
  return dtype === "float64" ? 8 : 4;
}

/** The pointer behind a typed array that is a view of this memory, else -1. */
export function pointerOf(array: TypedArray): number {
  if (memory === undefined) return -1;
  return array.buffer === buffer || sharedBuffers?.has(array.buffer) ? array.byteOffset : -1;
}

/** Adds to the free blocks by growing the memory, for one of `size` unless another thread grows it meanwhile. */
function grow(size: number): void {
  const end = memory.buffer.byteLength;
  const last = free[free.length - 1];
  const trailing = last !== undefined && last.start + last.size === end ? last.size : 0;
  const pages = Math.ceil((size - trailing) / PAGE);
  // Doubling keeps a run of small tensors from growing the memory one by one; near the limit take just what is needed.
  const generous = Math.max(pages, Math.min(end / PAGE, 1024));
  let start = -1;
  let grown = 0;
  for (const attempt of [generous, pages]) {
    try {
      start = memory.grow(attempt) * PAGE;
      grown = attempt;
      break;
    } catch {
      // Try again with less, then give up below.
    }
  }
  if (grown === 0) {
    throw new RangeError(
      `out of memory: ${size} bytes were asked for beyond the ${end} in use; dispose of tensors, or work in smaller batches`,
    );
  }
  takeViews();
  addFree(start, grown * PAGE);
}

/** A block from the free list, 64-byte aligned. */
export function allocate(bytes: number): number {
  if (memory === undefined) start();
  const size = align(bytes + SLACK);
  const fits = (block: { size: number }) => block.size >= size;
  let index = free.findIndex(fits);
  while (index < 0) {
    grow(size);
    index = free.findIndex(fits);
  }
  const block = free[index];
  const pointer = block.start;
  if (block.size === size) free.splice(index, 1);
  else {
    block.start += size;
    block.size -= size;
  }
  live.set(pointer, size);
  return pointer;
}

/** Returns a block to the free list. */
export function deallocate(pointer: number): void {
  const size = live.get(pointer);
  if (size === undefined) return;
  live.delete(pointer);
  addFree(pointer, size);
}

/** Adds a block to the free list and joins it with free neighbours. */
export function addFree(start: number, size: number): void {
  let index = free.findIndex((block) => block.start > start);
  if (index < 0) index = free.length;
  free.splice(index, 0, { start, size });
  joinWithNext(index);
  if (index > 0) joinWithNext(index - 1);
}

function joinWithNext(index: number): void {
  const block = free[index];
  const next = free[index + 1];
  if (next !== undefined && block.start + block.size === next.start) {
    block.size += next.size;
    free.splice(index + 1, 1);
  }
}

/** Bytes held by tensors (and by scratch while a call runs), and the size of the whole memory. */
export function memoryInfo(): { usedBytes: number; totalBytes: number } {
  let usedBytes = 0;
  for (const size of live.values()) usedBytes += size;
  return { usedBytes, totalBytes: memory === undefined ? 0 : bytes8.byteLength };
}

/** Runs `work`, then gives back all scratch it took, whether it returns or throws. */
export function withScratch<R>(work: () => R): R {
  if (memory === undefined) start();
  const top = arenaTop;
  const blocks = overflow.length;
  try {
    return work();
  } finally {
    arenaTop = top;
    while (overflow.length > blocks) deallocate(overflow.pop() as number);
  }
}

/** Scratch until the end of the enclosing `withScratch`. Contents are arbitrary. */
export function scratch(bytes: number): number {
  if (memory === undefined) start();
  const pointer = arenaTop;
  const next = pointer + align(bytes + SLACK);
  if (next <= arenaEnd) {
    arenaTop = next;
    return pointer;
  }
  const block = allocate(bytes);
  overflow.push(block);
  return block;
}

/** Scratch that the kernels of matrix products work in. */
export function matmulScratch(): number {
  return scratch(kernels(LINEAR).matmulScratchBytes());
}

/** Scratch that the kernels of columns work in. */
export function colScratch(): number {
  return scratch(kernels(COLUMNS).colScratchBytes());
}

/** Scratch for n f64 values, cleared. */
export function scratchF64(n: number): number {
  const pointer = scratch(n * 8);
  clearF64(pointer, n);
  return pointer;
}

/** Sets n f64 values to 0. */
export function clearF64(pointer: number, n: number): void {
  fillShort(floats64, 0, pointer / 8, n);
}

/** Values that are copied or filled one by one in less time than it takes to call `set` or `fill`. */
const SHORT = 32;

/** Sets n of the values from `start` on. */
export function fillShort(values: TypedArray, value: number, start: number, n: number): void {
  if (n > SHORT) values.fill(value, start, start + n);
  else for (let i = start; i < start + n; i++) values[i] = value;
}

/** Copies n values from `from` on to `start` and on. */
export function copyShort(values: TypedArray, start: number, source: ArrayLike<number>, from: number, n: number): void {
  if (n <= SHORT) for (let i = 0; i < n; i++) values[start + i] = source[from + i];
  else if (from === 0 && n === source.length) values.set(source, start);
  else values.set((source as TypedArray).subarray(from, from + n), start);
}

/** n f64 values of linear memory in their place. Never keep it over an allocation. */
export function viewF64(pointer: number, n: number): Float64Array {
  return floats64.subarray(pointer / 8, pointer / 8 + n);
}

/** A copy of n f64 values of linear memory. */
export function copyF64(pointer: number, n: number): Float64Array {
  return floats64.slice(pointer / 8, pointer / 8 + n);
}

/**
 * Copies values to an array as long, or leaves them in their place, each NaN with the bits of JavaScript's own: which ones
 * arithmetic gives it differs between processors and engines.
 */
export function oneNaN<Values extends TypedArray>(values: Float64Array, to: Values = values as Values): Values {
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    to[i] = values[i];
    sum += values[i];
  }
  if (Number.isNaN(sum)) for (let i = 0; i < to.length; i++) if (Number.isNaN(to[i])) to[i] = Number.NaN;
  return to;
}

/** `count` arrays of n f64 zeros that are kept together: one buffer is made in the time of one array. */
export function arraysF64(count: number, n: number): Float64Array[] {
  const { buffer: shared } = new Float64Array(count * n);
  const arrays: Float64Array[] = [];
  for (let i = 0; i < count; i++) arrays.push(new Float64Array(shared, 8 * i * n, n));
  return arrays;
}

/** Bytes of the chunks that short arrays are views of, and of the longest such array. */
const CHUNK_BYTES = 1 << 16;
const SHORT_BYTES = 1 << 13;

let chunk: ArrayBuffer;
/** Where the free part of the chunk begins: at its end, as long as there is none. */
let chunkTop = CHUNK_BYTES;
/** All chunks there are. */
const chunks = new WeakSet<ArrayBufferLike>();

/**
 * n f64 zeros for the length of a call. V8 allocates a typed array of more than 64 bytes outside its heap, which takes ten
 * times as long as a view: short ones are views of one buffer. That buffer is why they may not leave the package, where
 * someone could transfer it: what outlives the call goes through `keep`.
 */
export function passingF64(n: number): Float64Array {
  const bytes = n * 8;
  if (bytes <= 64 || bytes > SHORT_BYTES) return new Float64Array(n);
  if (chunkTop + bytes > CHUNK_BYTES) {
    chunk = new ArrayBuffer(CHUNK_BYTES);
    chunks.add(chunk);
    chunkTop = 0;
  }
  const values = new Float64Array(chunk, chunkTop, n);
  chunkTop += bytes;
  return values;
}

/** f(value, i) of each value, for the length of a call. */
export function mapF64(values: Float64Array, f: (value: number, i: number) => number): Float64Array {
  const mapped = passingF64(values.length);
  for (let i = 0; i < mapped.length; i++) mapped[i] = f(values[i], i);
  return mapped;
}

/** `found`, with an array of its own in the place of each that was made for the length of a call. */
export function keep<Found>(found: Found): Found {
  if (found instanceof Float64Array) return chunks.has(found.buffer) ? (found.slice() as typeof found) : found;
  if (typeof found !== "object" || found === null) return found;
  if (Array.isArray(found)) {
    const kept = typeof found[0] === "object" ? found.map(keep) : found;
    return kept.some((entry, i) => entry !== found[i]) ? (kept as typeof found) : found;
  }
  if (Object.getPrototypeOf(found) !== Object.prototype) return found;
  let copy: Found | undefined;
  for (const key in found) {
    const kept = keep(found[key]);
    if (kept === found[key]) continue;
    copy ??= { ...found };
    copy[key] = kept;
  }
  return copy ?? found;
}

/** `copyF64` for the length of a call. */
export function passingCopyF64(pointer: number, n: number): Float64Array {
  const values = passingF64(n);
  copyShort(values, 0, floats64, pointer / 8, n);
  return values;
}
