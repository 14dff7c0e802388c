/**
 * The parts of the kernels, as the folders of assembly/ have them. An application carries those that its methods name,
 * and each is made ready when it is first called.
 */
import * as sources from "../sources/inline.js";
import { type Instance, kernelInstance, type PartSource, type TypedKernels } from "./instance.js";
import type {
  ColumnsKernels,
  DataKernels,
  FunctionsKernels,
  LinearKernels,
  PlanesKernels,
  RowsKernels,
} from "./kernels.generated.js";
import type { DType } from "./memory.js";

/** A part, and its kernels once they are ready. Plain objects: bundlers leave out what is not used of them. */
interface Part<Kernels> {
  readonly source: PartSource;
  ready: Instance<Kernels> | undefined;
}

/** Along rows: contiguous runs. */
export const ROWS: Part<RowsKernels> = { source: sources.rows, ready: undefined };
/** On planes, which are runs of an image, and groups of them. */
export const PLANES: Part<PlanesKernels> = { source: sources.planes, ready: undefined };
/** Across rows, for each column. */
export const COLUMNS: Part<ColumnsKernels> = { source: sources.columns, ready: undefined };
/** Linear algebra. */
export const LINEAR: Part<LinearKernels> = { source: sources.linear, ready: undefined };
/** Functions that are not affine. */
export const FUNCTIONS: Part<FunctionsKernels> = { source: sources.functions, ready: undefined };
/** Pixels and random numbers. */
export const DATA: Part<DataKernels> = { source: sources.data, ready: undefined };

/** Kernels of a part that exist once, for no element type. */
export function kernels<Kernels>(part: Part<Kernels>): Kernels {
  return (part.ready ?? makeReady(part)).all;
}

/** Kernels of a part for one element type. */
export function kernelsOf<Kernels>(part: Part<Kernels>, dtype: DType): TypedKernels<Kernels> {
  const { f32, f64 } = part.ready ?? makeReady(part);
  return dtype === "float64" ? f64 : f32;
}

function makeReady<Kernels>(part: Part<Kernels>): Instance<Kernels> {
  // The source of a part gives these kernels, if not more.
  part.ready = kernelInstance(part.source) as unknown as Instance<Kernels>;
  return part.ready;
}
