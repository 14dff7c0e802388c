/**
 * Matrices standardized by statistics of their rows and of their columns together.
 *
 * Formula: d = x − rowMean − colMean, r = 1/√(rowVar + colVar + k·d²), y = d·r·w + b with w and b of the column. Back, with
 *   g = dy·w: Σg·r and Σg·d·r³ over rows and over columns, Σdy·d·r and Σdy over columns, and
 *   dx = g·r·(1 − k·d²·r²) + (x − base)·(rowSlope + colSlope) + rowShift + colShift.
 * Shapes: x, y, dy, dx [rows, cols]; all else is f64, one a row or a column. Sums over columns are added to: the caller
 *   clears them; sums over rows are written. y may be x, dx may be dy or x.
 * Error: in f64 lanes, rounded once to f32; 8 roundings in f64. NaN stays in its element, and in the sums of its row and
 *   column.
 * Source: P. Luo et al., "Switchable Normalization", 2018, whose one-dimensional form mixes such statistics.
 */
import { v } from "../vec";

abstract class Cross {
  /** 1/√(rowVar + colVar + k·d²). */
  @inline
  static rstd(d: v128, rowVar: v128, colVar: v128, k: v128): v128 {
    const variance = v.mulAdd<f64>(k, v.mul<f64>(d, d), v.add<f64>(rowVar, colVar));
    return v.div<f64>(v.splat<f64>(1), v.sqrt<f64>(variance));
  }

  @inline
  static standardize<T>(
    x: usize,
    at: usize,
    colMean: usize,
    colVar: usize,
    w: usize,
    b: usize,
    rowMean: v128,
    rowVar: v128,
    k: v128,
  ): v128 {
    const d = v.sub<f64>(v.sub<f64>(v.loadAs<T, f64>(x), v.load(colMean + at)), rowMean);
    const r = Cross.rstd(d, rowVar, v.load(colVar + at), k);
    return v.oneNaN<f64>(v.mulAdd<f64>(v.mul<f64>(d, r), v.load(w + at), v.load(b + at)));
  }

  @inline
  static gradient<T>(
    dy: usize,
    x: usize,
    at: usize,
    colMean: usize,
    colVar: usize,
    w: usize,
    colSlope: usize,
    colShift: usize,
    rowMean: v128,
    rowVar: v128,
    rowSlope: v128,
    rowShift: v128,
    base: v128,
    k: v128,
  ): v128 {
    const value = v.loadAs<T, f64>(x);
    const d = v.sub<f64>(v.sub<f64>(value, v.load(colMean + at)), rowMean);
    const r = Cross.rstd(d, rowVar, v.load(colVar + at), k);
    const dr = v.mul<f64>(d, r);
    const own = v.sub<f64>(v.splat<f64>(1), v.mul<f64>(k, v.mul<f64>(dr, dr)));
    const g = v.mul<f64>(v.mul<f64>(v.loadAs<T, f64>(dy), v.load(w + at)), v.mul<f64>(r, own));
    const slope = v.add<f64>(rowSlope, v.load(colSlope + at));
    const shift = v.add<f64>(rowShift, v.load(colShift + at));
    return v.oneNaN<f64>(v.add<f64>(g, v.mulAdd<f64>(v.sub<f64>(value, base), slope, shift)));
  }
}

function standardizeRow<T>(
  y: usize,
  x: usize,
  colMean: usize,
  colVar: usize,
  w: usize,
  b: usize,
  cols: i32,
  rowMean: v128,
  rowVar: v128,
  k: v128,
): void {
  const end = (<usize>(cols >> 1)) << 4;
  let at: usize = 0;
  for (; at < end; at += 16, x += 2 * sizeof<T>(), y += 2 * sizeof<T>()) {
    v.storeAs<T, f64>(y, Cross.standardize<T>(x, at, colMean, colVar, w, b, rowMean, rowVar, k), 0);
  }
  if (cols & 1) v.storeAs<T, f64>(y, Cross.standardize<T>(x, at, colMean, colVar, w, b, rowMean, rowVar, k), 1);
}

export function crossStandardize<T>(
  y: usize,
  x: usize,
  rowMean: usize,
  rowVar: usize,
  colMean: usize,
  colVar: usize,
  w: usize,
  b: usize,
  rows: i32,
  cols: i32,
  k: f64,
): void {
  const bytes = <usize>cols * sizeof<T>();
  const factor = v.splat<f64>(k);
  for (let i = 0; i < rows; i++) {
    const mean = v.loadSplat<f64>(rowMean + ((<usize>i) << 3));
    const variance = v.loadSplat<f64>(rowVar + ((<usize>i) << 3));
    standardizeRow<T>(y, x, colMean, colVar, w, b, cols, mean, variance, factor);
    x += bytes;
    y += bytes;
  }
}

/** Sums of the last `sumsRow`; a wasm function returns one value. */
let rowFirst: f64 = 0;
let rowSecond: f64 = 0;

/** Adds the terms of a row to the sums of the columns; leaves Σg·r of the row in `rowFirst`, Σg·d·r³ in `rowSecond`. */
function sumsRow<T>(
  colG: usize,
  colGD: usize,
  colX: usize,
  colDy: usize,
  dy: usize,
  x: usize,
  colMean: usize,
  colVar: usize,
  w: usize,
  cols: i32,
  rowMean: v128,
  rowVar: v128,
  k: v128,
): void {
  let first = v.zero();
  let second = v.zero();
  const end = (<usize>(cols >> 1)) << 4;
  for (let at: usize = 0; at < end; at += 16, x += 2 * sizeof<T>(), dy += 2 * sizeof<T>()) {
    const d = v.sub<f64>(v.sub<f64>(v.loadAs<T, f64>(x), v.load(colMean + at)), rowMean);
    const r = Cross.rstd(d, rowVar, v.load(colVar + at), k);
    const upstream = v.loadAs<T, f64>(dy);
    const g = v.mul<f64>(v.mul<f64>(upstream, v.load(w + at)), r);
    const gd = v.mul<f64>(v.mul<f64>(g, d), v.mul<f64>(r, r));
    first = v.add<f64>(first, g);
    second = v.add<f64>(second, gd);
    v.store(colG + at, v.add<f64>(v.load(colG + at), g));
    v.store(colGD + at, v.add<f64>(v.load(colGD + at), gd));
    v.store(colX + at, v.mulAdd<f64>(upstream, v.mul<f64>(d, r), v.load(colX + at)));
    v.store(colDy + at, v.add<f64>(v.load(colDy + at), upstream));
  }
  rowFirst = v.sumLanes<f64>(first);
  rowSecond = v.sumLanes<f64>(second);
}

/** `sumsRow` of the one column that an odd number leaves over. */
function sumsLast<T>(
  colG: usize,
  colGD: usize,
  colX: usize,
  colDy: usize,
  dy: f64,
  x: f64,
  colMean: usize,
  colVar: usize,
  w: usize,
  rowMean: f64,
  rowVar: f64,
  k: f64,
): void {
  const d = x - load<f64>(colMean) - rowMean;
  const r = 1 / sqrt<f64>(k * (d * d) + (rowVar + load<f64>(colVar)));
  const g = dy * load<f64>(w) * r;
  const gd = g * d * (r * r);
  store<f64>(colG, load<f64>(colG) + g);
  store<f64>(colGD, load<f64>(colGD) + gd);
  store<f64>(colX, load<f64>(colX) + dy * (d * r));
  store<f64>(colDy, load<f64>(colDy) + dy);
  rowFirst += g;
  rowSecond += gd;
}

export function crossGradSums<T>(
  rowG: usize,
  rowGD: usize,
  colG: usize,
  colGD: usize,
  colX: usize,
  colDy: usize,
  dy: usize,
  x: usize,
  rowMean: usize,
  rowVar: usize,
  colMean: usize,
  colVar: usize,
  w: usize,
  rows: i32,
  cols: i32,
  k: f64,
): void {
  const bytes = <usize>cols * sizeof<T>();
  const factor = v.splat<f64>(k);
  const last = (<usize>(cols - 1)) << 3;
  for (let i: usize = 0; i < (<usize>rows) << 3; i += 8) {
    const mean = v.loadSplat<f64>(rowMean + i);
    const variance = v.loadSplat<f64>(rowVar + i);
    sumsRow<T>(colG, colGD, colX, colDy, dy, x, colMean, colVar, w, cols, mean, variance, factor);
    if (cols & 1) {
      sumsLast<T>(
        colG + last,
        colGD + last,
        colX + last,
        colDy + last,
        <f64>load<T>(dy + bytes - sizeof<T>()),
        <f64>load<T>(x + bytes - sizeof<T>()),
        colMean + last,
        colVar + last,
        w + last,
        load<f64>(rowMean + i),
        load<f64>(rowVar + i),
        k,
      );
    }
    store<f64>(rowG + i, rowFirst);
    store<f64>(rowGD + i, rowSecond);
    x += bytes;
    dy += bytes;
  }
}

function gradientRow<T>(
  dx: usize,
  dy: usize,
  x: usize,
  colMean: usize,
  colVar: usize,
  w: usize,
  colSlope: usize,
  colShift: usize,
  cols: i32,
  rowMean: v128,
  rowVar: v128,
  rowSlope: v128,
  rowShift: v128,
  base: v128,
  k: v128,
): void {
  const step: usize = 2 * sizeof<T>();
  const end = (<usize>(cols >> 1)) << 4;
  let at: usize = 0;
  for (; at < end; at += 16, x += step, dy += step, dx += step) {
    const g = Cross.gradient<T>(
      dy,
      x,
      at,
      colMean,
      colVar,
      w,
      colSlope,
      colShift,
      rowMean,
      rowVar,
      rowSlope,
      rowShift,
      base,
      k,
    );
    v.storeAs<T, f64>(dx, g, 0);
  }
  if (cols & 1) {
    const g = Cross.gradient<T>(
      dy,
      x,
      at,
      colMean,
      colVar,
      w,
      colSlope,
      colShift,
      rowMean,
      rowVar,
      rowSlope,
      rowShift,
      base,
      k,
    );
    v.storeAs<T, f64>(dx, g, 1);
  }
}

export function crossGrad<T>(
  dx: usize,
  dy: usize,
  x: usize,
  rowMean: usize,
  rowVar: usize,
  colMean: usize,
  colVar: usize,
  w: usize,
  rowSlope: usize,
  rowShift: usize,
  colSlope: usize,
  colShift: usize,
  rows: i32,
  cols: i32,
  base: f64,
  k: f64,
): void {
  const bytes = <usize>cols * sizeof<T>();
  const from = v.splat<f64>(base);
  const factor = v.splat<f64>(k);
  for (let i: usize = 0; i < (<usize>rows) << 3; i += 8) {
    const mean = v.loadSplat<f64>(rowMean + i);
    const variance = v.loadSplat<f64>(rowVar + i);
    const slope = v.loadSplat<f64>(rowSlope + i);
    const shift = v.loadSplat<f64>(rowShift + i);
    gradientRow<T>(dx, dy, x, colMean, colVar, w, colSlope, colShift, cols, mean, variance, slope, shift, from, factor);
    dx += bytes;
    dy += bytes;
    x += bytes;
  }
}
