/**
 * A matrix with a vector: the dot product of each row, the combination of all rows, and a product of two vectors added.
 *
 * Formula: rowDot y[r] += Σ_j a[r, j]·x[j]; colCombine y[j] += Σ_r u[r]·a[r, j]; rowOuter y[r, j] = k·a[r, j] +
 *   b[r]·w[j].
 * Shapes: a [rows, n], x and w [n], u and b one a row, all T; the sums y are f64 and are added to. rowOuter: y may be
 *   a; w has n elements for every `period` rows, b has `period` entries, row r takes entry (first + r) mod period of b
 *   and row ⌊(first + r) / period⌋ of w.
 * Error: products in lanes of T over blocks (of a row: moments.ts; of COL_BLOCK_ROWS rows), merged in f64: a few ulps
 *   of Σ|term|. Inputs may be split at multiples of a block. Sums beyond the range of T, and NaN, stay in their row or
 *   column.
 */
import { runAddWide } from "../columns/col-gradient";
import { COL_BLOCK_ROWS, COL_TILE } from "../columns/col-moments";
import { map, reduce } from "../loops";
import { rowBlock } from "../rows/moments";
import { v } from "../vec";

@final
@unmanaged
class Product {
  @inline
  first<T>(x: usize, u: usize, w: usize, k: v128): v128 {
    return v.mul<T>(v.load(x), v.load(u));
  }
}

/** k·x + b·w[i] */
@final
@unmanaged
class Outer {
  @inline
  at<T>(x: usize, u: usize, w: usize, b: usize, k: v128, c: v128, k2: v128, k3: v128, k4: v128): v128 {
    return v.mulAdd<T>(v.load(x), k, v.mul<T>(c, v.load(w)));
  }
}

export function rowDot<T>(y: usize, a: usize, x: usize, rows: i32, n: i32): void {
  const block = rowBlock<T>();
  for (let r = 0; r < rows; r++) {
    let sum = load<f64>(y);
    let at = x;
    for (let left = n; left > 0; left -= block) {
      const size = left < block ? left : block;
      sum += reduce<T, Product>(a, at, 0, size, v.zero());
      a += <usize>size * sizeof<T>();
      at += <usize>size * sizeof<T>();
    }
    store<f64>(y, sum);
    y += 8;
  }
}

/** s[j] += Σ u[i]·a[i, j] over four rows. Scalar form: s[j] += (u0·a0 + u1·a1) + (u2·a2 + u3·a3). */
function colCombine4<T>(s: usize, a: usize, stride: usize, u: usize, width: i32): void {
  const end = s + <usize>width * sizeof<T>();
  const u0 = v.loadSplat<T>(u);
  const u1 = v.loadSplat<T>(u + sizeof<T>());
  const u2 = v.loadSplat<T>(u + 2 * sizeof<T>());
  const u3 = v.loadSplat<T>(u + 3 * sizeof<T>());
  const s2 = stride << 1;
  for (; s < end; s += 16, a += 16) {
    const p = v.add<T>(v.mul<T>(u0, v.load(a)), v.mul<T>(u1, v.load(a + stride)));
    const q = v.add<T>(v.mul<T>(u2, v.load(a + s2)), v.mul<T>(u3, v.load(a + s2 + stride)));
    v.store(s, v.add<T>(v.load(s), v.add<T>(p, q)));
  }
}

/** Eight rows, added in fours as by `colCombine4`: half as much traffic with the sums. */
function colCombine8<T>(s: usize, a: usize, stride: usize, u: usize, width: i32): void {
  const end = s + <usize>width * sizeof<T>();
  const u0 = v.loadSplat<T>(u);
  const u1 = v.loadSplat<T>(u + sizeof<T>());
  const u2 = v.loadSplat<T>(u + 2 * sizeof<T>());
  const u3 = v.loadSplat<T>(u + 3 * sizeof<T>());
  const u4 = v.loadSplat<T>(u + 4 * sizeof<T>());
  const u5 = v.loadSplat<T>(u + 5 * sizeof<T>());
  const u6 = v.loadSplat<T>(u + 6 * sizeof<T>());
  const u7 = v.loadSplat<T>(u + 7 * sizeof<T>());
  const s2 = stride << 1;
  let b = a + (stride << 2);
  for (; s < end; s += 16, a += 16, b += 16) {
    const p = v.add<T>(v.mul<T>(u0, v.load(a)), v.mul<T>(u1, v.load(a + stride)));
    const q = v.add<T>(v.mul<T>(u2, v.load(a + s2)), v.mul<T>(u3, v.load(a + s2 + stride)));
    const first = v.add<T>(v.load(s), v.add<T>(p, q));
    const p2 = v.add<T>(v.mul<T>(u4, v.load(b)), v.mul<T>(u5, v.load(b + stride)));
    const q2 = v.add<T>(v.mul<T>(u6, v.load(b + s2)), v.mul<T>(u7, v.load(b + s2 + stride)));
    v.store(s, v.add<T>(first, v.add<T>(p2, q2)));
  }
}

function colCombine1<T>(s: usize, a: usize, u: usize, width: i32): void {
  const end = s + <usize>width * sizeof<T>();
  const u0 = v.loadSplat<T>(u);
  for (; s < end; s += 16, a += 16) v.store(s, v.mulAdd<T>(u0, v.load(a), v.load(s)));
}

export function colCombine<T>(y: usize, a: usize, u: usize, rows: i32, n: i32, scratch: usize): void {
  const stride = <usize>n * sizeof<T>();
  for (let r = 0; r < rows; r += COL_BLOCK_ROWS) {
    const height = rows - r < COL_BLOCK_ROWS ? rows - r : COL_BLOCK_ROWS;
    for (let j = 0; j < n; j += COL_TILE) {
      const width = n - j < COL_TILE ? n - j : COL_TILE;
      memory.fill(scratch, 0, <usize>((width + 3) & ~3) * sizeof<T>());
      let at = a + <usize>j * sizeof<T>();
      let i = 0;
      for (; i + 8 <= height; i += 8) {
        colCombine8<T>(scratch, at, stride, u + <usize>i * sizeof<T>(), width);
        at += stride << 3;
      }
      for (; i + 4 <= height; i += 4) {
        colCombine4<T>(scratch, at, stride, u + <usize>i * sizeof<T>(), width);
        at += stride << 2;
      }
      for (; i < height; i++) {
        colCombine1<T>(scratch, at, u + <usize>i * sizeof<T>(), width);
        at += stride;
      }
      runAddWide<T>(y + ((<usize>j) << 3), scratch, width);
    }
    a += <usize>height * stride;
    u += <usize>height * sizeof<T>();
  }
}

export function rowOuter<T>(
  y: usize,
  a: usize,
  b: usize,
  w: usize,
  rows: i32,
  n: i32,
  first: i32,
  period: i32,
  k: T,
): void {
  const bytes = <usize>n * sizeof<T>();
  const factor = v.splat<T>(k);
  let i = first % period;
  w += <usize>(first / period) * bytes;
  for (let r = 0; r < rows; r++) {
    map<T, Outer>(y, a, 0, w, 0, n, factor, v.loadSplat<T>(b + <usize>i * sizeof<T>()), factor, factor, factor);
    a += bytes;
    y += bytes;
    if (++i == period) {
      i = 0;
      w += bytes;
    }
  }
}
