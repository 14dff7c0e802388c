/**
 * Count, mean and M2 = Σ(x − mean)² of rows (contiguous runs).
 *
 * Formula: blocks of a fixed size, each by Σd and Σd² about a rounded center c, d = x − c: mean = c + Σd/n,
 *   M2 = Σd² − (Σd)²/n. Blocks are merged in order, in f64, by δ = mean₂ − mean₁, mean = mean₁ + δ·n₂/n,
 *   M2 = M2₁ + M2₂ + δ²·n₁n₂/n. The center of a block is the mean of its first 16
 *   elements, so that it is read once; where these are unlike the rest, so that (Σd)²/n takes more than a quarter of Σd²,
 *   it is read again about the mean just found.
 * Shapes: x [rows, n]; mean and m2 are f64, one a row. `seen` elements are already in mean and m2; 0 starts anew.
 *   Splitting the input at multiples of a block gives the same bits as one call.
 * Error: mean about an ulp of the deviation, M2 a few ulps, at any offset of the data. In full, with m terms in a lane,
 *   u half an ulp and t = (Σd)²/(n·Σd²): Σd² is off by (m + 3)·u·Σd² at the most, (Σd)²/n by 2√t as much (as Σ|d| is at
 *   most √(n·Σd²)), so M2 by (m + 3)·u·(1 + 2√t)/(1 − t), and the mean by (m + 2)·u/√(1 − t) deviations: for t up to 1/4
 *   2.7 and 1.2 times the bounds of the center that is the mean. A block whose f32 sums overflow is read again in f64.
 *   NaN or infinity in a row gives NaN there alone.
 * Source: T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance", 1983.
 */
import { reduce, reducePair, secondSum } from "../loops";
import { v } from "../vec";

/** Bytes of a row that are reduced before the sums are merged. */
const ROW_BLOCK_BYTES: i32 = 16384;

/** Elements of a row that are reduced before a merge; inputs may be split at multiples of this. */
export function rowBlock<T>(): i32 {
  return ROW_BLOCK_BYTES / sizeof<T>();
}

@final
@unmanaged
class Identity {
  @inline
  first<T>(x: usize, u: usize, w: usize, k: v128): v128 {
    return v.load(x);
  }
}

@final
@unmanaged
class Square {
  @inline
  first<T>(x: usize, u: usize, w: usize, k: v128): v128 {
    const a = v.load(x);
    return v.mul<T>(a, a);
  }
}

/** d = x − c and d². */
@final
@unmanaged
export class Deviation {
  @inline
  first<T>(x: usize, u: usize, w: usize, k: v128): v128 {
    return v.sub<T>(v.load(x), k);
  }

  @inline
  second<T>(d: v128, x: usize, u: usize, w: usize, k: v128): v128 {
    return v.mul<T>(d, d);
  }
}

/** Mean and M2 of the last block; a wasm function returns one value. */
export let runMean: f64 = 0;
export let runM2: f64 = 0;

/** Elements at the start of a block whose mean stands in for that of the block. */
const HEAD: i32 = 16;

/** The share of Σd² that (Σd)²/n may take before the block is read again about a better center. */
const LOSS: f64 = 0.25;

export abstract class Center {
  /** Whether a block was read about a center good enough, given (Σd)²/n and Σd²; no where a sum is NaN or overflowed. */
  @inline
  static isGood(loss: f64, squares: f64): bool {
    return loss <= LOSS * squares && squares < Infinity;
  }
}

/** Scalar form: mean = c + Σ(x − c)/n; M2 = Σ(x − c)² − (Σ(x − c))²/n. */
function blockMoments<T>(x: usize, n: i32): void {
  const count = <f64>n;
  const head = n < HEAD ? n : HEAD;
  let center = <T>(reduce<T, Identity>(x, 0, 0, head, v.zero()) / <f64>head);
  let sumD = reducePair<T, Deviation>(x, 0, 0, n, v.splat<T>(center));
  let offset = sumD / count;
  let loss = sumD * offset;
  if (!Center.isGood(loss, secondSum)) {
    center = <T>(<f64>center + offset);
    sumD = reducePair<T, Deviation>(x, 0, 0, n, v.splat<T>(center));
    offset = sumD / count;
    loss = sumD * offset;
    if (sizeof<T>() == 4 && !(secondSum - loss < Infinity)) {
      blockMomentsWide(x, n);
      return;
    }
  }
  runMean = <f64>center + offset;
  runM2 = max<f64>(secondSum - loss, 0);
}

/** `blockMoments` of f32 data in f64, for sums that overflow f32. */
function blockMomentsWide(x: usize, n: i32): void {
  const count = <f64>n;
  const end = x + ((<usize>n) << 2);
  let sum: f64 = 0;
  for (let at = x; at < end; at += 4) sum += <f64>load<f32>(at);
  const center = sum / count;
  let sumD: f64 = 0;
  let sumSq: f64 = 0;
  for (let at = x; at < end; at += 4) {
    const d = <f64>load<f32>(at) - center;
    sumD += d;
    sumSq += d * d;
  }
  runMean = center + sumD / count;
  runM2 = sumSq - (sumD * sumD) / count;
}

/** Mean and M2 of one row of any length into `runMean` and `runM2`, merged into `seen` elements that are there already. */
export function runMoments<T>(x: usize, n: i32, seen: f64, seenMean: f64, seenM2: f64): void {
  const block = ROW_BLOCK_BYTES / sizeof<T>();
  let mean = seenMean;
  let m2 = seenM2;
  while (n > 0) {
    const size = n < block ? n : block;
    blockMoments<T>(x, size);
    if (seen == 0) {
      mean = runMean;
      m2 = runM2;
      seen = <f64>size;
    } else {
      const total = seen + <f64>size;
      const delta = runMean - mean;
      mean += delta * (<f64>size / total);
      m2 += runM2 + delta * delta * (seen * (<f64>size / total));
      seen = total;
    }
    x += <usize>size * sizeof<T>();
    n -= size;
  }
  runMean = mean;
  runM2 = m2;
}

/** Σx² of one row of any length, block by block onto `seenSquares`. */
export function runSquares<T>(x: usize, n: i32, seenSquares: f64): f64 {
  const block = ROW_BLOCK_BYTES / sizeof<T>();
  while (n > 0) {
    const size = n < block ? n : block;
    let sum = reduce<T, Square>(x, 0, 0, size, v.zero());
    if (sizeof<T>() == 4 && !(sum < Infinity)) {
      sum = 0;
      for (let i = 0; i < size; i++) {
        const a = <f64>load<T>(x + <usize>i * sizeof<T>());
        sum += a * a;
      }
    }
    seenSquares += sum;
    x += <usize>size * sizeof<T>();
    n -= size;
  }
  return seenSquares;
}

/** mean = c + s/n and M2 = q − s²/n of two rows, a row in each f64 lane; of one, where `rows` is 1. */
function storeMoments(mean: usize, m2: usize, c: v128, s: v128, q: v128, n: v128, rows: i32): void {
  const offset = v.div<f64>(s, n);
  const a = v.add<f64>(c, offset);
  const b = v.maxPassingNaN<f64>(v.sub<f64>(q, v.mul<f64>(s, offset)), v.zero());
  if (rows > 1) {
    v.store(mean, a);
    v.store(m2, b);
  } else {
    v.storeHead<f64>(mean, a, 1);
    v.storeHead<f64>(m2, b, 1);
  }
}

/**
 * rowMoments of rows of at most HEAD elements, a row in each lane: what takes the time of a short row is not its elements,
 * but lanes to be summed, divisions and calls. The center is the mean of the whole row. What a lane finds does not depend on
 * the rows beside it.
 */
function shortRowMoments<T>(mean: usize, m2: usize, x: usize, rows: i32, n: i32): void {
  const lanes = v.lanes<T>();
  const bytes = <usize>n * sizeof<T>();
  const size = v.splat<T>(<T>n);
  const count = v.splat<f64>(<f64>n);
  for (; rows > 0; rows -= lanes) {
    // Lanes beyond the last row have it once more.
    const x1 = rows > 1 ? x + bytes : x;
    const x2 = rows > 2 ? x1 + bytes : x1;
    const x3 = rows > 3 ? x2 + bytes : x2;
    let sum = v.zero();
    for (let i: usize = 0; i < bytes; i += sizeof<T>()) {
      sum = v.add<T>(sum, v.gather<T>(x + i, x1 + i, x2 + i, x3 + i));
    }
    const c = v.div<T>(sum, size);
    let s = v.zero();
    let q = v.zero();
    for (let i: usize = 0; i < bytes; i += sizeof<T>()) {
      const d = v.sub<T>(v.gather<T>(x + i, x1 + i, x2 + i, x3 + i), c);
      s = v.add<T>(s, d);
      q = v.mulAdd<T>(d, d, q);
    }
    storeMoments(mean, m2, v.lowAs64<T>(c), v.lowAs64<T>(s), v.lowAs64<T>(q), count, rows);
    if (sizeof<T>() == 4 && rows > 2) {
      storeMoments(mean + 16, m2 + 16, v.widenHigh(c), v.widenHigh(s), v.widenHigh(q), count, rows - 2);
    }
    if (!v.allTrue32(v.less<T>(q, v.splat<T>(<T>Infinity)))) {
      for (let i = 0; i < lanes && i < rows; i++) {
        const at = (<usize>i) << 3;
        if (load<f64>(m2 + at) < Infinity) continue;
        runMoments<T>(x + <usize>i * bytes, n, 0, 0, 0);
        store<f64>(mean + at, runMean);
        store<f64>(m2 + at, runM2);
      }
    }
    x += <usize>lanes * bytes;
    mean += (<usize>lanes) << 3;
    m2 += (<usize>lanes) << 3;
  }
}

export function rowMoments<T>(mean: usize, m2: usize, x: usize, rows: i32, n: i32, seen: f64): void {
  if (seen == 0 && n <= HEAD) {
    shortRowMoments<T>(mean, m2, x, rows, n);
    return;
  }
  for (let r = 0; r < rows; r++) {
    const at = (<usize>r) << 3;
    runMoments<T>(x, n, seen, load<f64>(mean + at), load<f64>(m2 + at));
    store<f64>(mean + at, runMean);
    store<f64>(m2 + at, runM2);
    x += <usize>n * sizeof<T>();
  }
}

export function rowSquares<T>(squares: usize, x: usize, rows: i32, n: i32, seen: f64): void {
  for (let r = 0; r < rows; r++) {
    const at = squares + ((<usize>r) << 3);
    store<f64>(at, runSquares<T>(x, n, seen == 0 ? 0 : load<f64>(at)));
    x += <usize>n * sizeof<T>();
  }
}
