/** evenkeel/threads: the work of large calls shared out to workers, over shared memory. */
export type { LinearTensor, Tensor, TensorLike } from "../core/tensor.js";
export { createPool, type Fittable, type Pool, type PoolFunctions, type PoolOptions, supported } from "./pool.js";
