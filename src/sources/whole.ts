/**
 * The kernels of entries that have one module for all parts; the build puts each entry's own source in the place of
 * slim.
 */
export {
  bundledKernels as columns,
  bundledKernels as data,
  bundledKernels as functions,
  bundledKernels as linear,
  bundledKernels as planes,
  bundledKernels as rows,
} from "./slim.js";
