/**
 * What the cases do: for each operation the inputs, our call, and what it costs at the least. Peers know the operations
 * by these names and take part where they have one of the same name.
 *
 *   view      x as an array to be normalized over `axes`, with parameters that broadcast: how libraries of plain array
 *             operations write every normalizer with one formula
 *   inputs    f32 tensors on the heap; images as bytes
 *   ours      given the inputs where the case wants them: a call that takes `out` (undefined: a fresh heap array) and
 *             returns the results
 *   outShape  of `out`, where it is not that of the case
 *   passes    times that a tensor of the case's shape is read or written, by an implementation that is bound by memory
 *             alone; or bytes, where that is no whole number of tensors
 */
import { layers } from "./operations/layers.mjs";
import { preprocessing } from "./operations/preprocessing.mjs";
import { products } from "./operations/products.mjs";
import { weights } from "./operations/weights.mjs";

export { EPS } from "./operations/common.mjs";

export const operations = { ...layers, ...products, ...weights, ...preprocessing };
