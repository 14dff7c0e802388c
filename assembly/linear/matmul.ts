/**
 * C = op(A)·op(B), op the identity or the transpose, and C += A·B of matrices with any strides, by packed panels and a
 * register tile.
 *
 * Shapes: C [m, n], op(A) [m, k], op(B) [k, n], row-major; A is stored [k, m] when transposed, B [n, k]. C may not
 *   overlap A or B. scratch: matmulScratchBytes.
 * Error: products are summed over k in order, in blocks of K_BLOCK, in T. The order depends on k alone, so that the
 *   result does not change with m, n, the transposes or how the rows of C are shared out.
 * Source: K. Goto, R. van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008.
 */
import { v } from "../vec";

/** Rows of A and columns of B (in vectors) that one register tile covers: 8 accumulators. */
const TILE_ROWS: i32 = 4;
const TILE_VECTORS: i32 = 2;
/** Depth of a panel: a B panel of 8 columns stays in L1. */
const K_BLOCK: i32 = 256;
/** Rows of A packed at a time: the block stays in L2. */
const M_BLOCK: i32 = 64;
/** Columns of B packed at a time. */
const N_BLOCK: i32 = 512;

function tileCols<T>(): i32 {
  return TILE_VECTORS * v.lanes<T>();
}

/** Packed blocks of A and B, and a tile of C for the edges. */
export function matmulScratchBytes(): i32 {
  return (M_BLOCK * K_BLOCK + K_BLOCK * (N_BLOCK + 8)) * 8 + 256;
}

/**
 * Packs a [depth × width] slice into panels of `tile` columns, [panel][depth][tile], zeros beyond width. Element (p, j)
 * of the slice is at x + (p·deep + j·wide) elements.
 */
function pack<T>(out: usize, x: usize, depth: i32, width: i32, tile: i32, deep: i32, wide: i32): void {
  const deepBytes = <usize>deep * sizeof<T>();
  const wideBytes = <usize>wide * sizeof<T>();
  for (let j = 0; j < width; j += tile) {
    const filled = width - j < tile ? width - j : tile;
    const panel = x + <usize>j * wideBytes;
    if (filled == tile && wide == 1) packAcross<T>(out, panel, depth, tile, deepBytes);
    else packAlong<T>(out, panel, depth, filled, tile, deepBytes, wideBytes);
    out += <usize>(depth * tile) * sizeof<T>();
  }
}

/** A full panel whose columns lie side by side. */
function packAcross<T>(out: usize, x: usize, depth: i32, tile: i32, deepBytes: usize): void {
  const bytes = <usize>tile * sizeof<T>();
  for (let p = 0; p < depth; p++) {
    for (let i: usize = 0; i < bytes; i += 16) v.store(out + i, v.load(x + i));
    x += deepBytes;
    out += bytes;
  }
}

/** Any panel, column by column. */
function packAlong<T>(
  out: usize,
  x: usize,
  depth: i32,
  filled: i32,
  tile: i32,
  deepBytes: usize,
  wideBytes: usize,
): void {
  const bytes = <usize>tile * sizeof<T>();
  for (let j = 0; j < tile; j++) {
    let from = x + <usize>j * wideBytes;
    let to = out + <usize>j * sizeof<T>();
    if (j < filled) {
      for (let p = 0; p < depth; p++) {
        store<T>(to, load<T>(from));
        from += deepBytes;
        to += bytes;
      }
    } else {
      for (let p = 0; p < depth; p++) {
        store<T>(to, 0);
        to += bytes;
      }
    }
  }
}

/** c += a·b for a 4 × 2-vector tile: a packed [depth][4], b packed [depth][2 vectors], rows of c `stride` bytes apart. */
function tile<T>(c: usize, stride: usize, a: usize, b: usize, depth: i32): void {
  const c1 = c + stride;
  const c2 = c1 + stride;
  const c3 = c2 + stride;
  let s00 = v.load(c);
  let s01 = v.load(c + 16);
  let s10 = v.load(c1);
  let s11 = v.load(c1 + 16);
  let s20 = v.load(c2);
  let s21 = v.load(c2 + 16);
  let s30 = v.load(c3);
  let s31 = v.load(c3 + 16);
  const end = b + ((<usize>depth) << 5);
  for (; b < end; b += 32, a += 4 * sizeof<T>()) {
    const b0 = v.load(b);
    const b1 = v.load(b + 16);
    const a0 = v.loadSplat<T>(a);
    s00 = v.add<T>(s00, v.mul<T>(a0, b0));
    s01 = v.add<T>(s01, v.mul<T>(a0, b1));
    const a1 = v.loadSplat<T>(a + sizeof<T>());
    s10 = v.add<T>(s10, v.mul<T>(a1, b0));
    s11 = v.add<T>(s11, v.mul<T>(a1, b1));
    const a2 = v.loadSplat<T>(a + 2 * sizeof<T>());
    s20 = v.add<T>(s20, v.mul<T>(a2, b0));
    s21 = v.add<T>(s21, v.mul<T>(a2, b1));
    const a3 = v.loadSplat<T>(a + 3 * sizeof<T>());
    s30 = v.add<T>(s30, v.mul<T>(a3, b0));
    s31 = v.add<T>(s31, v.mul<T>(a3, b1));
  }
  v.store(c, v.oneNaN<T>(s00));
  v.store(c + 16, v.oneNaN<T>(s01));
  v.store(c1, v.oneNaN<T>(s10));
  v.store(c1 + 16, v.oneNaN<T>(s11));
  v.store(c2, v.oneNaN<T>(s20));
  v.store(c2 + 16, v.oneNaN<T>(s21));
  v.store(c3, v.oneNaN<T>(s30));
  v.store(c3 + 16, v.oneNaN<T>(s31));
}

/** A tile at the right or lower edge of C: worked out in `edge`, whose rows are 32 bytes, then copied. */
function edgeTile<T>(c: usize, stride: usize, a: usize, b: usize, depth: i32, rows: i32, cols: i32, edge: usize): void {
  const bytes = <usize>cols * sizeof<T>();
  for (let i = 0; i < rows; i++) memory.copy(edge + <usize>i * 32, c + <usize>i * stride, bytes);
  tile<T>(edge, 32, a, b, depth);
  for (let i = 0; i < rows; i++) memory.copy(c + <usize>i * stride, edge + <usize>i * 32, bytes);
}

/**
 * C += A·B. Rows of C are `stride` elements apart; element (i, p) of A is at a + (p·deepA + i·wideA) elements, element
 * (p, j) of B at b + (p·deepB + j·wideB).
 */
export function multiplyAdd<T>(
  c: usize,
  a: usize,
  b: usize,
  m: i32,
  n: i32,
  k: i32,
  stride: i32,
  deepA: i32,
  wideA: i32,
  deepB: i32,
  wideB: i32,
  scratch: usize,
): void {
  const cols = tileCols<T>();
  const packedA = scratch;
  const packedB = scratch + <usize>(M_BLOCK * K_BLOCK) * sizeof<T>();
  const edge = scratch + <usize>matmulScratchBytes() - 256;
  const bytes = <usize>stride * sizeof<T>();
  for (let jj = 0; jj < n; jj += N_BLOCK) {
    const width = n - jj < N_BLOCK ? n - jj : N_BLOCK;
    for (let pp = 0; pp < k; pp += K_BLOCK) {
      const depth = k - pp < K_BLOCK ? k - pp : K_BLOCK;
      const fromB = b + <usize>(pp * deepB + jj * wideB) * sizeof<T>();
      pack<T>(packedB, fromB, depth, width, cols, deepB, wideB);
      for (let ii = 0; ii < m; ii += M_BLOCK) {
        const height = m - ii < M_BLOCK ? m - ii : M_BLOCK;
        const fromA = a + <usize>(pp * deepA + ii * wideA) * sizeof<T>();
        pack<T>(packedA, fromA, depth, height, TILE_ROWS, deepA, wideA);
        for (let j = 0; j < width; j += cols) {
          const panelB = packedB + <usize>(j * depth) * sizeof<T>();
          for (let i = 0; i < height; i += TILE_ROWS) {
            const panelA = packedA + <usize>(i * depth) * sizeof<T>();
            const at = c + <usize>(ii + i) * bytes + <usize>(jj + j) * sizeof<T>();
            if (height - i >= TILE_ROWS && width - j >= cols) {
              tile<T>(at, bytes, panelA, panelB, depth);
            } else {
              const rows = height - i < TILE_ROWS ? height - i : TILE_ROWS;
              edgeTile<T>(at, bytes, panelA, panelB, depth, rows, width - j < cols ? width - j : cols, edge);
            }
          }
        }
      }
    }
  }
}

export function matmul<T>(
  c: usize,
  a: usize,
  b: usize,
  m: i32,
  n: i32,
  k: i32,
  transposeA: i32,
  transposeB: i32,
  scratch: usize,
): void {
  const deepA = transposeA ? m : 1;
  const wideA = transposeA ? 1 : k;
  const deepB = transposeB ? 1 : n;
  const wideB = transposeB ? k : 1;
  memory.fill(c, 0, <usize>m * <usize>n * sizeof<T>());
  multiplyAdd<T>(c, a, b, m, n, k, n, deepA, wideA, deepB, wideB, scratch);
}
