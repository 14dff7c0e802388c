import type { ChannelGradients } from "../core/channelwise.js";
import type { Root } from "../core/decorrelate.js";
import { checkCount } from "../core/errors.js";
import { square } from "../core/special.js";
import type { Tensor, TensorLike } from "../core/tensor.js";
import {
  type DecorrelatedBatchNormConfig,
  type DecorrelatedBatchNormOptions,
  type DecorrelatedResult,
  type DecorrelatedSaved,
  decorrelatedBackwardAs,
  decorrelatedForwardAs,
  product,
  WhiteningLayer,
} from "./decorrelated-batch-norm.js";

export interface IterNormOptions extends DecorrelatedBatchNormOptions {
  /** Newton steps. Default 5. */
  nIterations?: number;
}

/** Σ a·b of all entries. */
function inner(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i], 0);
}

/**
 * An approximation of Σ^(−1/2) by Newton's iteration: S = (Σ + eps·1)/trace, P₀ = 1, P ← (3P − P³S)/2, W = P/√trace; and
 * back through each step.
 */
function newtonRoot(covariance: Float64Array, eps: number, iterations: number): Root {
  const n = Math.sqrt(covariance.length);
  const diagonal = (i: number) => (i % (n + 1) === 0 ? 1 : 0);
  const sigma = covariance.map((value, i) => value + eps * diagonal(i));
  const trace = inner(
    sigma,
    sigma.map((_, i) => diagonal(i)),
  );
  const s = sigma.map((value) => value / trace);
  const steps = [s.map((_, i) => diagonal(i))];
  for (let t = 0; t < iterations; t++) {
    const p = steps[t];
    const next = product(product(product(p, p), p), s);
    steps.push(p.map((value, i) => 1.5 * value - 0.5 * next[i]));
  }
  const last = steps[iterations];
  return {
    w: last.map((value) => value / Math.sqrt(trace)),
    back: (dw) => {
      let dp = dw.map((value) => value / Math.sqrt(trace));
      const ds = new Float64Array(n * n);
      for (let t = iterations - 1; t >= 0; t--) {
        // P·P·P·S: the product rule, a factor at a time.
        const p = steps[t];
        const square = product(p, p);
        const ps = product(p, s);
        const first = product(dp, product(p, ps), false, true);
        const second = product(product(p, dp, true), ps, false, true);
        const third = product(product(square, dp, true), s, false, true);
        const last = product(product(square, p), dp, true);
        for (let i = 0; i < ds.length; i++) ds[i] -= 0.5 * last[i];
        dp = dp.map((value, i) => 1.5 * value - 0.5 * (first[i] + second[i] + third[i]));
      }
      const dtrace = -inner(ds, sigma) / square(trace) - (0.5 * inner(dw, last)) / (trace * Math.sqrt(trace));
      return ds.map((value, i) => value / trace + dtrace * diagonal(i));
    },
  };
}

function forwardAs(method: string, x: TensorLike, options: IterNormOptions): DecorrelatedResult {
  const iterations = checkCount(method, "nIterations", options.nIterations ?? 5);
  return decorrelatedForwardAs(method, x, options, options.eps ?? 1e-5, (sigma, eps) =>
    newtonRoot(sigma, eps, iterations),
  );
}

/**
 * Iterative normalization: decorrelated batch norm whose whitening matrix comes from a few Newton steps instead of
 * eigenvectors. Few steps leave directions of small variance partly unwhitened, which keeps their noise down.
 *
 * y = weight[c]·(W·(x − mean))[c] + bias[c], W from `nIterations` steps towards (cov(x) + eps·1)^(−1/2).
 *
 * Shapes, layouts and errors are those of `decorrelatedBatchNorm`; eps is 1e-5.
 *
 * Source: L. Huang, Y. Zhou, F. Zhu, L. Liu, L. Shao, "Iterative Normalization", 2019, arXiv:1904.03441.
 *
 * @example
 * const y = iterNorm(images, { numGroups: 4, nIterations: 5 });
 */
export function iterNorm(x: TensorLike, options: IterNormOptions = {}): Tensor {
  return forwardAs("iterNorm", x, options).y;
}

/** `iterNorm` that also returns what `iterNormBackward` needs, and the running statistics. */
export function iterNormForward(x: TensorLike, options: IterNormOptions = {}): DecorrelatedResult {
  return forwardAs("iterNormForward", x, options);
}

/**
 * The gradient of iterative normalization, through the mean and every Newton step.
 *
 * @example
 * const { y, saved } = iterNormForward(images, { numGroups: 4 });
 * const { dx } = iterNormBackward(dimages, saved);
 */
export function iterNormBackward(
  dy: TensorLike,
  saved: DecorrelatedSaved,
  options: { out?: TensorLike } = {},
): ChannelGradients {
  return decorrelatedBackwardAs("iterNormBackward", dy, saved, options.out);
}

export interface IterNormConfig extends DecorrelatedBatchNormConfig {
  /** Newton steps. Default 5. */
  nIterations?: number;
}

/**
 * Iterative normalization as a layer: `iterNorm` with its weight (ones at first), bias (zeros), gradients, and running mean
 * and whitening matrices.
 *
 * @example
 * const norm = new IterNorm(64, { numGroups: 4 });
 * const y = norm.forward(images);
 * const dx = norm.backward(dimages); // norm.weight.grad, norm.bias.grad
 */
export class IterNorm extends WhiteningLayer {
  readonly nIterations: number;

  constructor(numFeatures: number, config: IterNormConfig = {}) {
    super("IterNorm", numFeatures, config);
    this.nIterations = checkCount("IterNorm", "nIterations", config.nIterations ?? 5);
  }

  protected run(method: string, x: TensorLike, options: DecorrelatedBatchNormOptions): DecorrelatedResult {
    return forwardAs(method, x, { ...options, eps: this.eps, nIterations: this.nIterations });
  }
}
