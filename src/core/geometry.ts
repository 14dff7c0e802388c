/**
 * Where the samples, channels and positions of a tensor lie.
 *
 * Statistics live on cells: one for each sample and channel. In `rows` order a cell is a contiguous run of s elements
 * (channels first); in `cols` order it is a column of one of n matrices [s, c] (channels last).
 */
import { checkOneOf, fail, show } from "./errors.js";
import type { Operand } from "./tensor.js";

/** `[N, C, ...spatial]` or `[N, ...spatial, C]`. */
export type Layout = "channels-first" | "channels-last";

export interface Geometry {
  /** Samples, channels, positions. */
  n: number;
  c: number;
  s: number;
  order: "rows" | "cols";
  /** In `cols` order, the positions of the last sample where it has fewer. */
  tail?: number;
}

/** Where the channels are, channels first where nothing is said. */
export function checkLayout(method: string, layout: Layout | undefined): Layout {
  return checkOneOf(method, "layout", layout ?? "channels-first", ["channels-first", "channels-last"]);
}

/** The geometry of x for channel-wise methods; x is at least [N, C]. */
export function geometryOf(method: string, x: Operand, layout: Layout = "channels-first", name = "x"): Geometry {
  checkOneOf(method, "layout", layout, ["channels-first", "channels-last"]);
  const { shape } = x;
  if (shape.length < 2) {
    fail(method, `${name} must have at least two dimensions, samples and channels, got shape ${show(shape)}`);
  }
  const n = shape[0];
  if (layout === "channels-last") {
    const c = shape[shape.length - 1];
    return { n, c, s: x.length / (n * c), order: "cols" };
  }
  const c = shape[1];
  return { n, c, s: x.length / (n * c), order: "rows" };
}

/** Throws where a cell is one value, which has no deviation of its own. */
export function checkPositions(
  method: string,
  x: Operand,
  { s }: Geometry,
  remedy = "use layerNorm or groupNorm",
): void {
  if (s > 1) return;
  fail(
    method,
    `x must have more than one position in each channel of a sample, got shape ${show(x.shape)}; ` +
      `one value has no deviation, ${remedy}`,
  );
}

/** A whole tensor as one cell. */
export function oneCell({ length }: { length: number }): Geometry {
  return { n: 1, c: 1, s: length, order: "rows" };
}

/** The same data with all samples as one where that is possible: what statistics over the whole batch want. */
export function pooled(geometry: Geometry): Geometry {
  const { n, c, s, order } = geometry;
  return order === "cols" || s === 1 ? { n: 1, c, s: n * s, order: "cols" } : geometry;
}
