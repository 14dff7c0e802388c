/**
 * Singular values and vectors of an upper bidiagonal matrix, by QR steps with implicit shifts.
 *
 * Source: G. Golub, C. Reinsch, "Singular value decomposition and least squares solutions", 1970; J. Demmel, W. Kahan,
 * "Accurate singular values of bidiagonal matrices", 1990 (steps without shift, the direction of the steps).
 */

import { fail } from "../core/errors.js";
import { heap64, scratch, withScratch } from "../core/memory.js";
import { kernels, LINEAR } from "../core/parts.js";
import { square } from "../core/special.js";

/** Rows of rotations, and where they begin. */
export interface Rows {
  at: number;
  columns: number;
  stride: number;
}

const ULP = 2 ** -52;

/** Elements above the diagonal count as zero below this. Matrices come with their largest entry near 1. */
const NOTHING = 2 ** -500;

/** Columns that are rotated at a time: with as many rows as there may be, they stay in L2. */
const COLUMNS = 64;

/** Steps of which the rotations are carried out together, so that the rows are read that much less often. */
const STEPS = 32;

/** Steps for each singular value: two are usual. */
const MOST_STEPS = 40;

/** What the last `rotate` found: c·f + s·g = r, c·g − s·f = 0. */
let [c, s, r] = [1, 0, 0];

function rotate(f: number, g: number): void {
  const largest = Math.max(Math.abs(f), Math.abs(g));
  if (g === 0 || f === 0) {
    c = g === 0 ? 1 : 0;
    s = 1 - c;
    r = f + g;
  } else if (largest < 2 ** -400) {
    // Squares of numbers as small as these are lost.
    rotate(f * 2 ** 500, g * 2 ** 500);
    r *= 2 ** -500;
  } else {
    r = Math.sqrt(f * f + g * g);
    c = f / r;
    s = g / r;
  }
}

/** The smaller singular value of [[f, g], [0, h]]. */
function smallerValue(f: number, g: number, h: number): number {
  const [least, most] = [Math.min(Math.abs(f), Math.abs(h)), Math.max(Math.abs(f), Math.abs(h))];
  if (least === 0) return 0;
  const across = Math.abs(g);
  if (across < most) {
    const sum = 1 + least / most;
    const difference = (most - least) / most;
    const part = square(across / most);
    return least * (2 / (Math.sqrt(sum * sum + part) + Math.sqrt(difference * difference + part)));
  }
  const part = most / across;
  const sum = (1 + least / most) * part;
  const difference = ((most - least) / most) * part;
  return 2 * (least * (1 / (Math.sqrt(1 + sum * sum) + Math.sqrt(1 + difference * difference)))) * part;
}

/**
 * One step on the block [first, last] of (d, e), from its first element down or from its last up. Rotations of the rows
 * that it turns first go to `own`, of those on the other side to `other`: (c, s) pairs in elements of linear memory.
 */
function chase(
  d: Float64Array,
  e: Float64Array,
  first: number,
  last: number,
  isDown: boolean,
  own: number,
  other: number,
): void {
  const heap = heap64();
  const count = last - first;
  const step = isDown ? 1 : -1;
  const start = isDown ? first : last;
  // Upwards, the matrix is read as its transpose in reverse, which is upper bidiagonal too: left and right change
  // places.
  const above = isDown ? first : last - 1;
  const end = start + count * step;
  const top = Math.abs(d[start]);
  const shift = smallerValue(d[end - step], e[above + (count - 1) * step], d[end]);
  if (top > 0 && square(shift / top) >= ULP) {
    let f = (top - shift) * (Math.sign(d[start]) + shift / d[start]);
    let g = e[above];
    for (let k = 0; k < count; k++) {
      const i = start + k * step;
      const a = above + k * step;
      rotate(f, g);
      heap[own + 2 * k] = c;
      heap[own + 2 * k + 1] = s;
      if (k > 0) e[a - step] = r;
      f = c * d[i] + s * e[a];
      e[a] = c * e[a] - s * d[i];
      g = s * d[i + step];
      d[i + step] *= c;
      rotate(f, g);
      heap[other + 2 * k] = c;
      heap[other + 2 * k + 1] = s;
      d[i] = r;
      f = c * e[a] + s * d[i + step];
      d[i + step] = c * d[i + step] - s * e[a];
      if (k < count - 1) {
        g = s * e[a + step];
        e[a + step] *= c;
      }
    }
    e[above + (count - 1) * step] = f;
    return;
  }
  // A shift that is nothing against the rest: without it, small values keep their digits.
  let cosine = 1;
  let [beforeC, beforeS] = [1, 0];
  for (let k = 0; k < count; k++) {
    const i = start + k * step;
    const a = above + k * step;
    rotate(d[i] * cosine, e[a]);
    heap[own + 2 * k] = c;
    heap[own + 2 * k + 1] = s;
    if (k > 0) e[a - step] = beforeS * r;
    cosine = c;
    rotate(beforeC * r, d[i + step] * s);
    heap[other + 2 * k] = c;
    heap[other + 2 * k + 1] = s;
    d[i] = r;
    beforeC = c;
    beforeS = s;
  }
  const rest = d[end] * cosine;
  d[end] = rest * beforeC;
  e[above + (count - 1) * step] = rest * beforeS;
}

/**
 * d becomes the singular values, at least 0, in no order. d [n] is the diagonal, e [n − 1] what stands above it; both
 * are overwritten. The rows of `left` and `right`, n each, are multiplied by the transposes of the left and right
 * singular vectors: rows of an identity become them.
 */
export function solveBidiagonal(d: Float64Array, e: Float64Array, left: Rows, right: Rows): void {
  const n = d.length;
  withScratch(() => {
    const sides = [left, right].map((rows) => ({ rows, rotations: scratch(16 * STEPS * n) }));
    let steps: Array<{ from: number; count: number; step: 1 | -1; used: number }> = [];
    let used = 0;
    const flush = () => {
      const { rotateRows_f64: rotateRows } = kernels(LINEAR);
      for (const { rows, rotations } of sides) {
        for (let column = 0; column < rows.columns; column += COLUMNS) {
          const columns = Math.min(COLUMNS, rows.columns - column);
          for (const { from, count, step, used: first } of steps) {
            const at = rows.at + 8 * (from * rows.stride + column);
            rotateRows(at, rotations + 16 * first, count, columns, step * rows.stride);
          }
        }
      }
      steps = [];
      used = 0;
    };

    let last = n - 1;
    for (let step = 0; last > 0; step++) {
      if (step === MOST_STEPS * n) fail("svd", "the singular values did not converge; please report the matrix");
      let first = last;
      while (first > 0 && Math.abs(e[first - 1]) > ULP * (Math.abs(d[first - 1]) + Math.abs(d[first])) + NOTHING)
        first--;
      if (first > 0) e[first - 1] = 0;
      if (first === last) {
        last--;
        continue;
      }
      const count = last - first;
      if (used + count > STEPS * n) flush();
      // Towards the smaller end, where the values converge.
      const isDown = Math.abs(d[first]) >= Math.abs(d[last]);
      const [own, other] = isDown ? [sides[1], sides[0]] : sides;
      chase(d, e, first, last, isDown, own.rotations / 8 + 2 * used, other.rotations / 8 + 2 * used);
      steps.push({ from: isDown ? first : last, count, step: isDown ? 1 : -1, used });
      used += count;
    }
    flush();
    for (let i = 0; i < n; i++) {
      if (d[i] >= 0) continue;
      d[i] = -d[i];
      const at = right.at / 8 + i * right.stride;
      for (let j = at; j < at + right.columns; j++) heap64()[j] *= -1;
    }
  });
}
