/**
 * What goes in and out of the public functions: anything with `data` and `shape`, and tensors that live in the kernels'
 * own memory.
 */
import { fail, show } from "./errors.js";
import {
  allocate,
  copyShort,
  type DType,
  deallocate,
  elementBytes,
  fillShort,
  heapOf,
  passingF64,
  pointerOf,
  type TypedArray,
} from "./memory.js";

/** Anything with `data` and `shape`; `dims` is taken for `shape`, so an ONNX Runtime tensor goes straight in. */
export type TensorLike =
  | { readonly data: TypedArray; readonly shape: readonly number[] }
  | { readonly data: TypedArray; readonly dims: readonly number[] };

/** A result: a plain object on the JavaScript heap, collected like any other. */
export interface Tensor<A extends TypedArray = TypedArray> {
  data: A;
  shape: number[];
}

/** A vector of parameters: a typed array, a list of numbers, or a tensor. */
export type VectorLike = TypedArray | readonly number[] | TensorLike;

/** The typed-array class of an element type. */
export function arrayClass(dtype: DType): Float32ArrayConstructor | Float64ArrayConstructor {
  return dtype === "float64" ? Float64Array : Float32Array;
}

/** Results from this size on are worth a detour to be spared the zeros: fresh pages cost more than the kernels. */
const UNZEROED_BYTES = 1 << 16;

/**
 * A new array of which every element will be written before anyone sees it; without zeros where there is Node's Buffer.
 * Deno's, which it takes 4 ms to load, writes them.
 */
function unwrittenArray(dtype: DType, length: number): TypedArray {
  const bytes = length * elementBytes(dtype);
  const make = bytes < UNZEROED_BYTES || "Deno" in globalThis ? undefined : globalThis.Buffer?.allocUnsafeSlow;
  if (make === undefined) return new (arrayClass(dtype))(length);
  return new (arrayClass(dtype))(make(bytes).buffer as ArrayBuffer);
}

const net = new FinalizationRegistry<number>((pointer) => deallocate(pointer));

/** A tensor in linear memory: calls on it copy nothing. Made by `tensor()`. */
export class LinearTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly length: number;
  #pointer: number;
  #view: TypedArray | undefined;
  /** The tensor that this one is a part of. */
  readonly #whole: LinearTensor | undefined;

  /** @internal */
  constructor(dtype: DType, shape: readonly number[], length: number, whole?: LinearTensor, pointer = 0) {
    this.dtype = dtype;
    this.shape = shape;
    this.length = length;
    this.#whole = whole;
    this.#pointer = whole === undefined ? allocate(length * elementBytes(dtype)) : pointer;
    if (whole === undefined) net.register(this, this.#pointer, this);
  }

  /**
   * The part at one index of the first dimension, as a tensor on the same memory: what is written to either is in both.
   * It ends with this tensor; disposing of the part frees nothing.
   */
  at(index: number): LinearTensor {
    const [count, ...shape] = this.shape;
    if (!Number.isSafeInteger(index) || index < 0 || index >= count) {
      fail("tensor.at", `index must be a whole number from 0 to ${count - 1}, got ${show(index)}`);
    }
    const length = this.length / count;
    const pointer = this.pointer + index * length * elementBytes(this.dtype);
    return new LinearTensor(this.dtype, shape, length, this, pointer);
  }

  /** The elements, as a view of the linear memory. Take it anew after other calls: growth of the memory detaches it. */
  get data(): TypedArray {
    const heap = heapOf(this.dtype);
    if (this.#view === undefined || this.#view.buffer !== heap.buffer) {
      const from = this.pointer / elementBytes(this.dtype);
      this.#view = heap.subarray(from, from + this.length);
    } else if (this.disposed) {
      fail("tensor", "this tensor was disposed of; make a new one with tensor(shape)");
    }
    return this.#view;
  }

  /** @internal */
  get pointer(): number {
    if (this.disposed) fail("tensor", "this tensor was disposed of; make a new one with tensor(shape)");
    return this.#pointer;
  }

  get disposed(): boolean {
    return this.#pointer === 0 || (this.#whole?.disposed ?? false);
  }

  /** Gives the memory back. A second call does nothing. */
  dispose(): void {
    if (this.#pointer === 0) return;
    if (this.#whole === undefined) {
      net.unregister(this);
      deallocate(this.#pointer);
    }
    this.#pointer = 0;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * Makes a tensor in linear memory, where calls on it copy nothing.
 *
 * Filled with zeros, or with `data`. It is freed by `dispose()` or at the end of the block of a `using` declaration; a
 * finalizer frees those forgotten. Throws a RangeError when the memory cannot grow (4 GB at the most).
 *
 * @example
 * using t = tensor([32, 768]);
 * t.data.fill(1);
 * layerNorm(t, { normalizedShape: [768], out: t });
 */
export function tensor(
  shape: readonly number[],
  options: { data?: ArrayLike<number>; dtype?: DType } = {},
): LinearTensor {
  const length = checkShape("tensor", "shape", shape);
  const { data } = options;
  const dtype = options.dtype ?? (data instanceof Float64Array ? "float64" : "float32");
  if (dtype !== "float32" && dtype !== "float64") {
    fail("tensor", `dtype must be "float32" or "float64", got ${show(dtype)}`);
  }
  if (data !== undefined && data.length !== length) {
    fail("tensor", `data has ${data.length} elements where shape ${show(shape)} takes ${length}`);
  }
  const made = new LinearTensor(dtype, [...shape], length);
  if (data === undefined) made.data.fill(0);
  else made.data.set(data);
  return made;
}

/** The product of a shape whose sizes are whole numbers. */
export function checkShape(method: string, name: string, shape: unknown): number {
  if (!Array.isArray(shape) && !ArrayBuffer.isView(shape)) {
    fail(method, `${name} must be an array of whole numbers, got ${show(shape)}`);
  }
  let length = 1;
  for (const size of shape as number[]) {
    if (!Number.isSafeInteger(size) || size < 0) {
      fail(method, `${name} must hold whole numbers of at least 0, got ${show(shape)}`);
    }
    length *= size;
  }
  return length;
}

/** The dimension that an argument names, from the end where it is negative. */
export function checkAxis(method: string, name: string, axis: number, shape: readonly number[], of: string): number {
  const found = axis < 0 ? axis + shape.length : axis;
  if (!Number.isSafeInteger(found) || found < 0 || found >= shape.length) {
    fail(method, `${name} must name a dimension of ${of}, whose shape is ${show(shape)}, got ${show(axis)}`);
  }
  return found;
}

/** An array argument that has been checked: its name, where its elements are, and how many. */
export interface Operand {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly length: number;
  /** The array on the JavaScript heap, or null when the elements are in linear memory. */
  readonly heap: TypedArray | null;
  /** The address in linear memory, 0 for heap arrays. */
  readonly pointer: number;
}

/** What a result is like before there is one: no elements, but as many of them as the shape says. */
export function shaped(dtype: DType, shape: readonly number[]): Operand {
  let length = 1;
  for (const size of shape) length *= size;
  return { name: "the result", dtype, shape, length, heap: null, pointer: 0 };
}

/** Where elements are, and how many. */
type Place = Pick<Operand, "dtype" | "length" | "heap" | "pointer">;

/** What other tensors have to be like. */
type Like = Pick<Operand, "name" | "dtype" | "shape">;

function operandOf(name: string, array: TypedArray, shape: readonly number[]): Operand {
  const pointer = pointerOf(array);
  return {
    name,
    dtype: array instanceof Float64Array ? "float64" : "float32",
    shape,
    length: array.length,
    heap: pointer < 0 ? array : null,
    pointer: Math.max(pointer, 0),
  };
}

/**
 * Checks a tensor argument: floats, a shape, as many elements as the shape says, and at least one. `known`: its name from
 * then on, where that is another.
 */
export function readTensor(method: string, name: string, value: unknown, known = name): Operand {
  if (value instanceof LinearTensor) {
    if (value.disposed) fail(method, `${name} was disposed of; make a new one with tensor(shape)`);
    if (value.length === 0) fail(method, `${name} has no elements (shape ${show(value.shape)}); pass at least one`);
    const { dtype, shape, length, pointer } = value;
    return { name: known, dtype, shape, length, heap: null, pointer };
  }
  const given = value as { data?: unknown; shape?: unknown; dims?: unknown } | null | undefined;
  const data = given?.data;
  if (!(data instanceof Float32Array) && !(data instanceof Float64Array)) {
    fail(
      method,
      `${name} must be { data: Float32Array | Float64Array, shape }, got ${
        data === undefined ? show(value) : `data of ${show(data)}`
      }`,
    );
  }
  const shape = given?.shape ?? given?.dims;
  const length = checkShape(method, `the shape of ${name}`, shape);
  if (length !== data.length) {
    fail(method, `${name}.data has ${data.length} elements where its shape ${show(shape)} takes ${length}`);
  }
  if (length === 0) fail(method, `${name} has no elements (shape ${show(shape)}); pass at least one`);
  return operandOf(known, data, shape as number[]);
}

/** Checks a vector argument and its length; undefined where it is absent. */
export function readVector(
  method: string,
  name: string,
  value: VectorLike | null | undefined,
  length: number,
  meaning: string,
): Operand | undefined {
  if (value === undefined || value === null) return undefined;
  let found: Operand;
  if (value instanceof LinearTensor) found = readTensor(method, name, value);
  else if (value instanceof Float32Array || value instanceof Float64Array)
    found = operandOf(name, value, [value.length]);
  else if (Array.isArray(value)) found = operandOf(name, Float64Array.from(value as number[]), [value.length]);
  else if (typeof value === "object" && "data" in value) found = readTensor(method, name, value);
  else fail(method, `${name} must be a typed array, a list of numbers or a tensor, got ${show(value)}`);
  if (found.length !== length) {
    fail(method, `${name} has ${found.length} elements where ${length} are needed, ${meaning}`);
  }
  return found;
}

/** The elements of an operand, wherever they are. */
export function elementsOf(operand: Place): TypedArray {
  if (operand.heap !== null) return operand.heap;
  const from = operand.pointer / elementBytes(operand.dtype);
  return heapOf(operand.dtype).subarray(from, from + operand.length);
}

/** A vector argument as f64 values; `fallback` in every place where it is absent. */
export function readValues(
  method: string,
  name: string,
  value: VectorLike | null | undefined,
  length: number,
  meaning: string,
  fallback: number,
): Float64Array {
  return readInto(new Float64Array(length), method, name, value, meaning, fallback);
}

/** `readValues` for the length of a call: see `passingF64`. */
export function readCoefficients(
  method: string,
  name: string,
  value: VectorLike | null | undefined,
  length: number,
  meaning: string,
  fallback: number,
): Float64Array {
  return readInto(passingF64(length), method, name, value, meaning, fallback);
}

function readInto(
  values: Float64Array,
  method: string,
  name: string,
  value: VectorLike | null | undefined,
  meaning: string,
  fallback: number,
): Float64Array {
  return fillFrom(values, readVector(method, name, value, values.length, meaning), fallback);
}

/** Fills f64 values from a vector argument that has been checked, or with `fallback`. */
export function fillFrom(values: Float64Array, found: Operand | undefined, fallback: number): Float64Array {
  fillRange(values, 0, values.length, found, fallback);
  return values;
}

/** `fillFrom` for the n values from `start` on. */
export function fillRange(
  values: Float64Array,
  start: number,
  n: number,
  found: Operand | undefined,
  fallback: number,
): void {
  if (found === undefined) fillShort(values, fallback, start, n);
  else if (found.heap !== null) copyShort(values, start, found.heap, 0, n);
  else copyShort(values, start, heapOf(found.dtype), found.pointer / elementBytes(found.dtype), n);
}

/** Whether two shapes are the same. */
export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Checks that two tensors have the same shape and element type. */
export function checkSame(
  method: string,
  name: string,
  operand: Operand,
  like: Omit<Like, "name">,
  likeName: string,
): void {
  const { shape } = operand;
  if (!sameShape(shape, like.shape)) {
    fail(method, `${name} has shape ${show(shape)} where ${likeName} has ${show(like.shape)}; they must be the same`);
  }
  if (operand.dtype !== like.dtype) {
    fail(method, `${name} is ${operand.dtype} where ${likeName} is ${like.dtype}; convert one of them`);
  }
}

/** Checks a tensor argument that must have the shape and element type of another, such as a gradient. */
export function readAlike(method: string, name: string, value: unknown, like: Like): Operand {
  const operand = readTensor(method, name, value);
  checkSame(method, name, operand, like, like.name);
  return operand;
}

/** Whether writing an array would overwrite part of another; not where they begin at the same place. */
function overlapsInPart(to: Place, from: Place): boolean {
  const a = to.heap;
  const b = from.heap;
  if ((a === null) !== (b === null) || (a !== null && a.buffer !== b?.buffer)) return false;
  const start = a?.byteOffset ?? to.pointer;
  const fromStart = b?.byteOffset ?? from.pointer;
  const end = start + to.length * elementBytes(to.dtype);
  const fromEnd = fromStart + from.length * elementBytes(from.dtype);
  return start !== fromStart && start < fromEnd && fromStart < end;
}

/** Throws where writing a result would overwrite part of an input before it is read; the same array is fine. */
function checkOverlap(method: string, to: Place, inputs: readonly Operand[]): void {
  for (let i = 0; i < inputs.length; i++) {
    if (!overlapsInPart(to, inputs[i])) continue;
    const { name } = inputs[i];
    fail(method, `out overlaps ${name} in part; pass the very array of ${name} to work in place, or another`);
  }
}

/** Where a result goes: `out` when it was given, else a new heap array, made when the size of the work is known. */
export class Target {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly length: number;
  readonly pointer: number;
  heap: TypedArray | null;
  readonly #given: unknown;

  /** `out` may be the very array of one of the inputs that the result is made of, and overlap none of them in part. */
  constructor(method: string, out: unknown, like: Operand, inputs?: readonly Operand[]) {
    this.shape = like.shape;
    this.dtype = like.dtype;
    this.length = like.length;
    this.pointer = 0;
    this.heap = null;
    this.#given = out;
    if (out === undefined || out === null) return;
    const operand = readTensor(method, "out", out);
    checkSame(method, "out", operand, like, "the input");
    this.heap = operand.heap;
    this.pointer = operand.pointer;
    if (inputs !== undefined) checkOverlap(method, this, inputs);
  }

  /** Whether elements have to be copied out of linear memory. */
  get staged(): boolean {
    return this.pointer === 0;
  }

  /** Copies staged elements [from, from + count) to their place. */
  take(pointer: number, from: number, count: number): void {
    const at = pointer / elementBytes(this.dtype);
    const source = heapOf(this.dtype);
    if (!this.staged) source.copyWithin(this.pointer / elementBytes(this.dtype) + from, at, at + count);
    else if (this.heap === null && count === this.length) this.heap = source.slice(at, at + count);
    else {
      this.heap ??= unwrittenArray(this.dtype, this.length);
      this.heap.set(source.subarray(at, at + count), from);
    }
  }

  /** The elements of the result in their place, made if need be; every one has to be written. */
  get elements(): TypedArray {
    if (this.staged) this.heap ??= unwrittenArray(this.dtype, this.length);
    return elementsOf(this);
  }

  /** The result: what the caller gave as `out`, or a new tensor. */
  get result(): Tensor {
    if (this.#given !== undefined && this.#given !== null) return this.#given as Tensor;
    return { data: this.heap as TypedArray, shape: [...this.shape] };
  }

  /** Whether the result is written over this input. */
  isPlaceOf(input: Operand): boolean {
    if (this.#given === undefined || this.#given === null) return false;
    if (this.heap === null || input.heap === null) return this.heap === input.heap && this.pointer === input.pointer;
    return this.heap.buffer === input.heap.buffer && this.heap.byteOffset === input.heap.byteOffset;
  }
}
