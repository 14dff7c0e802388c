/**
 * Eigenvalues and eigenvectors of a symmetric tridiagonal matrix, by dividing it: the halves are solved by themselves,
 * then joined as a diagonal matrix with one rank added. Small ones are solved by QL steps.
 *
 * Source: J. Cuppen, "A divide and conquer method for the symmetric tridiagonal eigenproblem", 1981; J. Dongarra,
 * D. Sorensen, "A fully parallel algorithm for the symmetric eigenvalue problem", 1987 (deflation).
 */

import { fail } from "../core/errors.js";
import { heap8, heap64, matmulScratch, scratch, viewF64, withScratch } from "../core/memory.js";
import { kernels, LINEAR } from "../core/parts.js";
import { square } from "../core/special.js";

/** Sizes up to this are solved by QL steps. */
const SMALL = 32;

/** Steps for one eigenvalue: three are usual. */
const MOST_STEPS = 60;

const ULP = 2 ** -52;

/** What stands beside the diagonal counts as zero below this. Matrices come with their largest entry near 1. */
const NOTHING = 2 ** -500;

/**
 * Rows of Z become eigenvectors, d their eigenvalues, in no order. d [n] is the diagonal, e [n − 1] what stands beside
 * it; both are overwritten. Z [n, n] has rows `stride` elements apart and is zero.
 */
export function solveTridiagonal(d: Float64Array, e: Float64Array, z: number, stride: number): void {
  const n = d.length;
  withScratch(() => {
    const rotations = scratch(16 * SMALL);
    const vectors = scratch(8 * n * n);
    const rows = scratch(8 * n * n);
    const product = matmulScratch();
    const solve = (from: number, to: number) => {
      if (to - from <= SMALL) {
        solveSmall(d, e, from, to, z, stride, rotations);
        return;
      }
      const middle = (from + to) >> 1;
      const coupling = e[middle - 1];
      d[middle - 1] -= Math.abs(coupling);
      d[middle] -= Math.abs(coupling);
      solve(from, middle);
      solve(middle, to);
      join(from, middle, to, coupling);
    };

    /** The eigenvectors of the block [from, to) from those of its halves. */
    const join = (from: number, middle: number, to: number, coupling: number) => {
      const size = to - from;
      let heap = heap64();
      const row = (r: number) => z / 8 + r * stride;
      const weights = new Float64Array(to);
      for (let r = from; r < middle; r++) weights[r] = heap[row(r) + middle - 1] * Math.SQRT1_2;
      for (let r = middle; r < to; r++) weights[r] = heap[row(r) + middle] * Math.sign(coupling) * Math.SQRT1_2;
      const { kept, dropped } = deflate(d, weights, from, middle, to, 2 * Math.abs(coupling), (a, b, c, s) => {
        heap[rotations / 8] = c;
        heap[rotations / 8 + 1] = s;
        kernels(LINEAR).rotateRows_f64(z + 8 * (a * stride + from), rotations, 1, size, (b - a) * stride);
      });

      // Vectors that end in the upper half are zero in the lower, and the other way round: each half is its own
      // product.
      const upper = kept.filter(({ spans }) => spans === Span.upper);
      const both = kept.filter(({ spans }) => spans === Span.both);
      const lower = kept.filter(({ spans }) => spans === Span.lower);
      const ordered = [...upper, ...both, ...lower];
      const k = kept.length;
      const [k1, k2] = [upper.length + both.length, both.length + lower.length];
      const [n1, n2] = [middle - from, to - middle];
      const upperRows = rows / 8;
      const lowerRows = upperRows + k1 * n1;
      const droppedRows = lowerRows + k2 * n2;
      for (const [i, { at }] of ordered.slice(0, k1).entries()) {
        heap.copyWithin(upperRows + i * n1, row(at) + from, row(at) + middle);
      }
      for (const [i, { at }] of ordered.slice(k - k2).entries()) {
        heap.copyWithin(lowerRows + i * n2, row(at) + middle, row(at) + to);
      }
      for (const [i, at] of dropped.entries()) {
        heap.copyWithin(droppedRows + i * size, row(at) + from, row(at) + to);
      }
      const values = dropped.map((at) => d[at]);
      for (const [i, value] of values.entries()) {
        d[from + k + i] = value;
        heap.copyWithin(row(from + k + i) + from, droppedRows + i * size, droppedRows + (i + 1) * size);
      }
      if (k === 0) return;

      withScratch(() => {
        const pointer = rankOne(kept, ordered, 2 * Math.abs(coupling), d, from, vectors);
        heap = heap64();
        for (let r = from; r < from + k; r++) heap.fill(0, row(r) + from, row(r) + to);
        const at = z + 8 * (from * stride + from);
        const { multiplyAdd_f64: multiplyAdd } = kernels(LINEAR);
        multiplyAdd(at, pointer, 8 * upperRows, k, n1, k1, stride, 1, k, n1, 1, product);
        const second = pointer + 8 * upper.length;
        multiplyAdd(at + 8 * n1, second, 8 * lowerRows, k, n2, k2, stride, 1, k, n2, 1, product);
      });
    };
    solve(0, n);
  });
}

/** The halves in which an eigenvector is not zero. */
enum Span {
  upper,
  both,
  lower,
}

interface Kept {
  /** Row of Z. */
  at: number;
  value: number;
  weight: number;
  spans: Span;
}

/**
 * Eigenpairs that the coupling leaves as they are, to rounding: those of small weight, and one of each two that are so
 * close that a rotation takes its weight away. `kept` is in the order of the values.
 */
function deflate(
  d: Float64Array,
  weights: Float64Array,
  from: number,
  middle: number,
  to: number,
  rho: number,
  rotate: (a: number, b: number, c: number, s: number) => void,
): { kept: Kept[]; dropped: number[] } {
  let largest = 0;
  for (let i = from; i < to; i++) largest = Math.max(largest, Math.abs(d[i]), Math.abs(weights[i]));
  const tolerance = 4 * ULP * largest;
  const order = Array.from({ length: to - from }, (_, i) => from + i).sort((a, b) => d[a] - d[b] || a - b);
  const kept: Kept[] = [];
  const dropped: number[] = [];
  for (const at of order) {
    const last = kept[kept.length - 1];
    const found = { at, value: d[at], weight: weights[at], spans: at < middle ? Span.upper : Span.lower };
    if (rho * Math.abs(found.weight) <= tolerance) {
      dropped.push(at);
      continue;
    }
    if (last !== undefined) {
      const length = Math.sqrt(square(found.weight) + square(last.weight));
      const c = found.weight / length;
      const s = last.weight / length;
      if (Math.abs((found.value - last.value) * c * s) <= tolerance) {
        // The rotation that gives all the weight to the one found.
        rotate(at, last.at, c, s);
        const [a, b] = [last.value, found.value];
        d[last.at] = a * c * c + b * s * s;
        found.value = a * s * s + b * c * c;
        found.weight = length;
        if (last.spans !== found.spans) found.spans = Span.both;
        dropped.push(last.at);
        kept.pop();
      }
    }
    kept.push(found);
  }
  return { kept, dropped };
}

/**
 * Solves the rank-one problem of the pairs kept; their values go to d[from...]. Eigenvectors, one a row, in the order
 * given.
 */
function rankOne(kept: Kept[], ordered: Kept[], rho: number, d: Float64Array, from: number, delta: number): number {
  const k = kept.length;
  const vectors = scratch(8 * k * k);
  const poles = scratch(8 * k);
  const weights = scratch(8 * k);
  const values = scratch(8 * k);
  const places = scratch(4 * k);
  const workspace = scratch(8 * k);
  const heap = heap64();
  let squares = 0;
  for (const { weight } of kept) squares += weight * weight;
  const length = Math.sqrt(squares);
  for (const [i, { value, weight }] of kept.entries()) {
    heap[poles / 8 + i] = value;
    heap[weights / 8 + i] = weight / length;
  }
  if (k === 1) {
    d[from] = kept[0].value + rho * squares;
    heap[vectors / 8] = 1;
    return vectors;
  }
  const placeOf = new Int32Array(heap8().buffer, places, k);
  const place = new Map(ordered.map((pair, i) => [pair, i]));
  for (const [i, pair] of kept.entries()) placeOf[i] = place.get(pair) as number;
  kernels(LINEAR).rankOneValues_f64(values, delta, poles, weights, k, rho * squares);
  kernels(LINEAR).rankOneVectors_f64(vectors, delta, poles, weights, places, k, workspace);
  d.set(viewF64(values, k), from);
  return vectors;
}

/** QL steps with implicit shifts on the block [from, to). Source: EISPACK's imtql2 (Martin and Wilkinson, 1968). */
function solveSmall(
  d: Float64Array,
  e: Float64Array,
  from: number,
  to: number,
  z: number,
  stride: number,
  rotations: number,
): void {
  const heap = heap64();
  const at = z / 8 + from;
  for (let i = from; i < to; i++) heap[z / 8 + i * stride + i] = 1;
  for (let l = from; l < to; l++) {
    for (let step = 0; ; step++) {
      let m = l;
      while (m < to - 1 && Math.abs(e[m]) > ULP * (Math.abs(d[m]) + Math.abs(d[m + 1])) + NOTHING) m++;
      if (m === l) break;
      if (step === MOST_STEPS)
        fail("eigh", "the eigenvalues did not converge; this is a defect, please report the matrix");
      const half = (d[l + 1] - d[l]) / (2 * e[l]);
      const root = Math.sqrt(half * half + 1);
      let g = d[m] - d[l] + e[l] / (half + (half < 0 ? -root : root));
      let [s, c, p] = [1, 1, 0];
      let count = 0;
      for (let i = m - 1; i >= l; i--) {
        const f = s * e[i];
        const b = c * e[i];
        const r = Math.sqrt(f * f + g * g);
        if (i < m - 1) e[i + 1] = r;
        if (r === 0) {
          d[i + 1] -= p;
          break;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        const t = (d[i] - g) * s + 2 * c * b;
        p = s * t;
        d[i + 1] = g + p;
        g = c * t - b;
        heap[rotations / 8 + 2 * count] = c;
        heap[rotations / 8 + 2 * count + 1] = s;
        count++;
      }
      kernels(LINEAR).rotateRows_f64(8 * (at + m * stride), rotations, count, to - from, -stride);
      e[m] = 0;
      if (count === m - l) {
        d[l] -= p;
        e[l] = g;
      }
    }
  }
}
