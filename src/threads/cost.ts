/** Which calls are worth handing to workers, by an estimate of their time from the sizes of their arguments. */
import { pointerOf } from "../core/memory.js";
import type { MeasuredKind, MethodName } from "./methods.js";

/** Elements of f32 that one thread normalizes in a microsecond, and products of matrices that it adds up. */
const ELEMENTS_PER_MICROSECOND = 2000;
const PRODUCTS_PER_MICROSECOND = 16000;

/** A part of a call is shared out where it is this share of a call that is worth it. */
const PART = 1 / 20;

/** Elements from which on a part of a call is shared out, where calls of `minWork` microseconds are. */
export function leastElements(minWork: number): number {
  return minWork * PART * ELEMENTS_PER_MICROSECOND;
}

/** Whether a call takes one thread `minWork` microseconds. False for arguments that are not what they should be. */
export function isWorthwhile(method: string, args: readonly unknown[], minWork: number): method is MethodName {
  const cost = Object.hasOwn(COSTS, method) ? COSTS[method as MethodName] : undefined;
  return cost !== undefined && cost(...args) >= minWork;
}

type Cost = (...args: unknown[]) => number;
const KINDS: readonly string[] = ["Whitening", "Decorrelation"] satisfies MeasuredKind[];

/** Arrays of the heap stay: to copy them takes longer than to normalize them. */
const normalization: Cost = (x) => (isShared(x) ? sizeOf(x) / ELEMENTS_PER_MICROSECOND : 0);
const COSTS: Record<MethodName, Cost> = {
  batchNorm: normalization,
  batchNormForward: normalization,
  batchNormBackward: normalization,
  fit: (kind, _, x) => {
    if (!KINDS.includes(kind as string)) return Number.NaN;
    const columns = shapeOf(x)[1];
    // In f64, of which half as many fit a vector; half of them, since the matrix is symmetric.
    return (sizeOf(x) * columns) / PRODUCTS_PER_MICROSECOND;
  },
  groupNorm: normalization,
  groupNormForward: normalization,
  groupNormBackward: normalization,
  instanceNorm: normalization,
  instanceNormForward: normalization,
  instanceNormBackward: normalization,
  layerNorm: normalization,
  layerNormForward: normalization,
  layerNormBackward: normalization,
  matmul: (a, b, options) => {
    const { transposeA = false } = (options ?? {}) as { transposeA?: boolean };
    const depth = shapeOf(a)[transposeA ? 0 : 1];
    return (sizeOf(a) * (sizeOf(b) / depth)) / PRODUCTS_PER_MICROSECOND;
  },
};

/** Elements of f32 that take as long as a tensor; NaN where it is none. */
function sizeOf(tensor: unknown): number {
  const { data } = (tensor ?? {}) as { data?: unknown };
  if (data instanceof Float32Array) return data.length;
  return data instanceof Float64Array ? 2 * data.length : Number.NaN;
}

function isShared(tensor: unknown): boolean {
  const { data } = (tensor ?? {}) as { data?: unknown };
  return (data instanceof Float32Array || data instanceof Float64Array) && pointerOf(data) >= 0;
}

function shapeOf(tensor: unknown): ArrayLike<number> {
  const { shape, dims } = (tensor ?? {}) as { shape?: ArrayLike<number>; dims?: ArrayLike<number> };
  return shape ?? dims ?? [];
}
