import { applyAffine, applyGradient, cellGradSums, cellMoments } from "../core/cells.js";
import { checkNumber, checkOneOf, fail, show } from "../core/errors.js";
import { geometryOf, type Layout } from "../core/geometry.js";
import { keepInput, Layer, type Saved, savedInput } from "../core/layer.js";
import { keep, passingF64 } from "../core/memory.js";
import { checkSame, readTensor, Target, type Tensor, type TensorLike } from "../core/tensor.js";

export interface AdaINOptions {
  /** How much of the style is taken over: alpha·AdaIN + (1 − alpha)·content. Default 1. */
  alpha?: number;
  /** Added to both variances. Default 1e-5. */
  eps?: number;
  /** Of content and style. Default "channels-first". */
  layout?: Layout;
  /** Where to write y; may be content. Default: a new heap array. */
  out?: TensorLike;
}

export interface AdaINSaved extends Saved {
  /** @internal */
  readonly style: TensorLike | null;
  /** Mean and 1/√(var + eps) of each channel of each sample of the content, [N, C]. */
  readonly content: { readonly mean: Float64Array; readonly rstd: Float64Array };
  /** Mean and √(var + eps) of each channel of each sample of the style, [N, C]. */
  readonly target: { readonly mean: Float64Array; readonly std: Float64Array };
  /** @internal */
  readonly options: { readonly alpha: number; readonly layout?: Layout };
}

export interface AdaINGradients {
  dcontent: Tensor;
  dstyle: Tensor;
}

function forwardAs(
  method: string,
  content: TensorLike,
  style: TensorLike,
  options: AdaINOptions,
): { y: Tensor; saved: AdaINSaved } {
  const operand = readTensor(method, "content", content);
  const geometry = geometryOf(method, operand, options.layout, "content");
  const styleOperand = readTensor(method, "style", style);
  const styleGeometry = geometryOf(method, styleOperand, options.layout, "style");
  if (styleGeometry.n !== geometry.n || styleGeometry.c !== geometry.c) {
    fail(
      method,
      `style has ${styleGeometry.n} samples of ${styleGeometry.c} channels (shape ${show(styleOperand.shape)}) where ` +
        `content has ${geometry.n} of ${geometry.c} (shape ${show(operand.shape)}); they must be the same`,
    );
  }
  if (styleOperand.dtype !== operand.dtype) {
    fail(method, `style is ${styleOperand.dtype} where content is ${operand.dtype}; convert one of them`);
  }
  const eps = checkNumber(method, "eps", options.eps ?? 1e-5, 0);
  const alpha = checkNumber(method, "alpha", options.alpha ?? 1, 0);
  if (alpha > 1) fail(method, `alpha must be at most 1, the share of the style, got ${alpha}`);
  const y = new Target(method, options.out, operand, [operand, styleOperand]);

  const moments = cellMoments(operand, geometry);
  const styleMoments = cellMoments(styleOperand, styleGeometry);
  const { mean, m2 } = moments;
  const [rstd, std, scale, shift] = [0, 1, 2, 3].map(() => passingF64(mean.length));
  for (let i = 0; i < mean.length; i++) {
    rstd[i] = 1 / Math.sqrt(m2[i] / moments.count[i] + eps);
    std[i] = Math.sqrt(styleMoments.m2[i] / styleMoments.count[i] + eps);
    scale[i] = alpha * std[i] * rstd[i] + (1 - alpha);
    shift[i] = alpha * styleMoments.mean[i] + (1 - alpha) * mean[i];
  }
  applyAffine(y, operand, geometry, { mean, scale, shift });
  return {
    y: y.result,
    saved: {
      x: keepInput(content, operand, y),
      style: keepInput(style, styleOperand, y),
      content: { mean, rstd },
      target: { mean: styleMoments.mean, std },
      options: { alpha, layout: options.layout },
    },
  };
}

function backwardAs(
  method: string,
  dy: TensorLike,
  saved: AdaINSaved | undefined,
  out: TensorLike | undefined,
): AdaINGradients {
  const x = savedInput(method, saved, "content");
  const { content, target, options, style } = saved as AdaINSaved;
  const { alpha, layout } = options;
  if (style === null) {
    fail(method, "the forward pass wrote its result over style, which the gradient needs; give it another out");
  }
  const styleOperand = readTensor(method, "the style of the forward pass", style, "style");
  const gradient = readTensor(method, "dy", dy);
  checkSame(method, "dy", gradient, x, "content");
  const geometry = geometryOf(method, x, layout);
  const styleGeometry = geometryOf(method, styleOperand, layout);
  const dcontent = new Target(method, out, x, [x, styleOperand, gradient]);
  const dstyle = new Target(method, undefined, styleOperand);

  const sums = cellGradSums(gradient, x, geometry, content.mean);
  const { mean, rstd } = content;
  const { s } = geometry;
  const positions = styleGeometry.s;
  const [styleScale, styleShift, weight, slope, constant] = [0, 1, 2, 3, 4].map(() => passingF64(mean.length));
  for (let i = 0; i < mean.length; i++) {
    const std = target.std[i];
    styleScale[i] = (alpha * rstd[i] * sums.dyx[i]) / (positions * std);
    styleShift[i] = (alpha * sums.dy[i]) / positions;
    weight[i] = alpha * std + (1 - alpha) / rstd[i];
    slope[i] = -alpha * std * rstd[i] * rstd[i] * (sums.dyx[i] / s);
    constant[i] = -alpha * std * (sums.dy[i] / s);
  }
  // The style comes first: dcontent may be written over it.
  applyAffine(dstyle, styleOperand, styleGeometry, { mean: target.mean, scale: styleScale, shift: styleShift });
  applyGradient(dcontent, gradient, x, geometry, { mean, rstd, weight, slope, constant });
  return { dcontent: dcontent.result, dstyle: dstyle.result };
}

/**
 * Adaptive instance normalization: each channel of each sample of the content takes over mean and deviation of the same
 * channel of a style.
 *
 * y = alpha·(std_s·(content − mean_c)/std_c + mean_s) + (1 − alpha)·content, std = √(var + eps), mean and (biased) variance
 * over the positions of (n, c), of the content (c) and of the style (s).
 *
 * content and style are `[N, C, ...spatial]` or, with `layout: "channels-last"`, `[N, ...spatial, C]`, f32 or f64, alike in N
 * and C; their positions may differ. Defaults: alpha 1, eps 1e-5. The same in training and inference. Throws where samples,
 * channels or element types differ, eps is negative, or alpha is beyond [0, 1].
 *
 * Source: X. Huang, S. Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization", 2017,
 * arXiv:1703.06868.
 *
 * @example
 * const style = { data: new Float32Array(4 * 64 * 9).map((_, i) => i % 5), shape: [4, 64, 3, 3] };
 * const y = adaIN(images, style, { alpha: 0.5 });
 */
export function adaIN(content: TensorLike, style: TensorLike, options: AdaINOptions = {}): Tensor {
  return forwardAs("adaIN", content, style, options).y;
}

/** `adaIN` that also returns what `adaINBackward` needs. */
export function adaINForward(
  content: TensorLike,
  style: TensorLike,
  options: AdaINOptions = {},
): { y: Tensor; saved: AdaINSaved } {
  return keep(forwardAs("adaINForward", content, style, options));
}

/**
 * The gradients of adaptive instance normalization with respect to content and style. `out` takes dcontent.
 *
 * With ĉ = (content − mean_c)/std_c: dcontent is instance norm's gradient for alpha·std_s·dy, plus (1 − alpha)·dy;
 * dstyle = alpha·(Σdy + Σ(dy·ĉ)·(style − mean_s)/std_s)/m over the m positions of the style.
 *
 * @example
 * const { y, saved } = adaINForward(images, images);
 * const { dcontent, dstyle } = adaINBackward(dimages, saved);
 */
export function adaINBackward(dy: TensorLike, saved: AdaINSaved, options: { out?: TensorLike } = {}): AdaINGradients {
  return backwardAs("adaINBackward", dy, saved, options.out);
}

export interface AdaINConfig {
  /** How much of the style is taken over. Default 1. */
  alpha?: number;
  /** Added to both variances. Default 1e-5. */
  eps?: number;
  /** Default "channels-first". */
  layout?: Layout;
}

/**
 * Adaptive instance normalization as a layer: `adaIN` with its gradients. It has no parameters and no state.
 *
 * @example
 * const norm = new AdaIN({ alpha: 0.8 });
 * const y = norm.forward(images, images);
 * const { dcontent, dstyle } = norm.backward(dimages);
 */
export class AdaIN extends Layer {
  /** There is none. */
  readonly weight = null;
  /** There is none. */
  readonly bias = null;
  /** May be changed between calls. */
  alpha: number;
  readonly eps: number;
  readonly layout: Layout;
  #saved: AdaINSaved | undefined;

  constructor(config: AdaINConfig = {}) {
    super();
    this.alpha = checkNumber("AdaIN", "alpha", config.alpha ?? 1, 0);
    this.eps = checkNumber("AdaIN", "eps", config.eps ?? 1e-5, 0);
    this.layout = checkOneOf("AdaIN", "layout", config.layout ?? "channels-first", ["channels-first", "channels-last"]);
  }

  forward(content: TensorLike, style: TensorLike, options: { out?: TensorLike } = {}): Tensor {
    const { alpha, eps, layout } = this;
    const { y, saved } = forwardAs("AdaIN.forward", content, style, { alpha, eps, layout, out: options.out });
    this.#saved = keep(saved);
    return y;
  }

  /** The gradients of the last forward. */
  backward(dy: TensorLike, options: { out?: TensorLike } = {}): AdaINGradients {
    return backwardAs("AdaIN.backward", dy, this.#saved, options.out);
  }
}
