/**
 * Arguments and results on their way between threads. Tensors go by address: those of the heap are copied into shared
 * memory first, and freed when the call is over. Everything else is cloned, results are handed over.
 */
import { allocate, type DType, deallocate, elementBytes, heapOf, pointerOf, type TypedArray } from "../core/memory.js";
import { LinearTensor, type TensorLike } from "../core/tensor.js";

/** A tensor among arguments: where it is, and its number, by which results refer to it. */
export interface WireTensor {
  readonly wire: number;
  readonly pointer: number;
  readonly length: number;
  readonly dtype: DType;
  readonly shape: unknown;
}

/** A tensor of the arguments among results. */
interface WireReference {
  readonly wire: number;
}

type Visit = (value: object, name: string) => unknown;

/** A copy of plain objects and arrays, in which `visit` replaces what it knows. */
function rebuild(value: unknown, visit: Visit, name = ""): unknown {
  if (typeof value !== "object" || value === null) return value;
  const found = visit(value, name);
  if (found !== undefined) return found;
  if (Array.isArray(value)) return value.map((item) => rebuild(item, visit));
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, rebuild(item, visit, key)]));
}

function isFloats(value: unknown): value is TypedArray {
  return value instanceof Float32Array || value instanceof Float64Array;
}

function dtypeOf(array: TypedArray): DType {
  return array instanceof Float64Array ? "float64" : "float32";
}

/** The arguments of one call, on the caller's side. */
export class Shipment {
  readonly args: unknown;
  readonly #tensors: object[] = [];
  readonly #blocks: Array<{ data: TypedArray; pointer: number; returns: boolean }> = [];

  constructor(args: readonly unknown[]) {
    try {
      this.args = rebuild(args, (value, name) => this.#pack(value, name));
    } catch (error) {
      this.free();
      throw error;
    }
  }

  /** A result, with the caller's own tensors where it refers to them; what was written to heap arrays is there. */
  unpack(result: unknown): unknown {
    for (const { data, pointer, returns } of this.#blocks) {
      if (!returns) continue;
      const at = pointer / elementBytes(dtypeOf(data));
      data.set(heapOf(dtypeOf(data)).subarray(at, at + data.length));
    }
    return rebuild(result, (value) => {
      if (ArrayBuffer.isView(value)) return value;
      return "wire" in value ? this.#tensors[(value as WireReference).wire] : undefined;
    });
  }

  free(): void {
    for (const { pointer } of this.#blocks.splice(0)) deallocate(pointer);
  }

  #pack(value: object, name: string): unknown {
    if (value instanceof LinearTensor) return this.#tensor(value, value.pointer, value.length, value.dtype);
    if (isFloats(value)) return pointerOf(value) < 0 ? value : value.slice();
    const { data } = value as Partial<TensorLike>;
    if (!isFloats(data)) return undefined;
    const pointer = pointerOf(data);
    return this.#tensor(value, pointer < 0 ? this.#stage(data, name === "out") : pointer, data.length, dtypeOf(data));
  }

  #tensor(value: object, pointer: number, length: number, dtype: DType): WireTensor {
    const { shape, dims } = value as { shape?: unknown; dims?: unknown };
    this.#tensors.push(value);
    return { wire: this.#tensors.length - 1, pointer, length, dtype, shape: shape ?? dims };
  }

  #stage(data: TypedArray, returns: boolean): number {
    const { buffer, byteOffset, length } = data;
    const known = this.#blocks.find(
      ({ data: other }) => other.buffer === buffer && other.byteOffset === byteOffset && other.length === length,
    );
    if (known !== undefined) {
      known.returns ||= returns;
      return known.pointer;
    }
    const pointer = allocate(data.byteLength);
    this.#blocks.push({ data, pointer, returns });
    heapOf(dtypeOf(data)).set(data, pointer / elementBytes(dtypeOf(data)));
    return pointer;
  }
}

/** The arguments as the methods take them, and the tensors among them with their numbers. */
export function openArguments(args: unknown): { args: unknown[]; tensors: Map<object, number> } {
  const tensors = new Map<object, number>();
  const opened = rebuild(args, (value) => {
    if (ArrayBuffer.isView(value)) return value;
    if (!("wire" in value)) return undefined;
    const { wire, pointer, length, dtype, shape } = value as WireTensor;
    const at = pointer / elementBytes(dtype);
    const tensor = { data: heapOf(dtype).subarray(at, at + length), shape };
    tensors.set(tensor, wire);
    return tensor;
  });
  return { args: opened as unknown[], tensors };
}

/** A result for `postMessage`: tensors of the arguments by number, and the buffers to hand over. */
export function packResult(result: unknown, tensors: Map<object, number>): { result: unknown; buffers: ArrayBuffer[] } {
  const buffers = new Set<ArrayBuffer>();
  const packed = rebuild(result, (value) => {
    const wire = tensors.get(value);
    if (wire !== undefined) return { wire };
    if (!ArrayBuffer.isView(value)) return undefined;
    // A view of a part is cloned: the rest is not ours to hand over.
    const { buffer, byteLength } = value;
    if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffers.add(buffer);
    return value;
  });
  return { result: packed, buffers: [...buffers] };
}
