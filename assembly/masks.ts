/**
 * Rows chosen by a mask: packed together, so that the other kernels see only them, and cleared; and elements chosen by
 * one: y[i] = scale·x[i] + shift where mask[i] is not 0, else `other`.
 *
 * Shapes: x [rows, cols], mask uint8, one a row, 0 = left out. For a plane of single elements, cols is 1.
 *   out holds the kept rows in order and may be x. Exact. eachChoose: x, y and mask [n], y may be x; two roundings.
 */
import { v } from "./vec";

export function compactRows<T>(out: usize, x: usize, mask: usize, rows: i32, cols: i32): i32 {
  const bytes = <usize>cols * sizeof<T>();
  let kept = 0;
  for (let r = 0; r < rows; r++) {
    if (load<u8>(mask + r)) {
      if (cols == 1) store<T>(out, load<T>(x));
      else memory.copy(out, x, bytes);
      out += bytes;
      kept++;
    }
    x += bytes;
  }
  return kept;
}

export function zeroRows<T>(x: usize, mask: usize, rows: i32, cols: i32): void {
  const bytes = <usize>cols * sizeof<T>();
  for (let r = 0; r < rows; r++) {
    if (!load<u8>(mask + r)) {
      if (cols == 1) store<T>(x, 0);
      else memory.fill(x, 0, bytes);
    }
    x += bytes;
  }
}

export function eachChoose<T>(y: usize, x: usize, mask: usize, n: i32, scale: T, shift: T, other: T): void {
  const k0 = v.splat<T>(scale);
  const k1 = v.splat<T>(shift);
  const k2 = v.splat<T>(other);
  const end = y + v.wholeBytes<T>(n);
  for (; y < end; y += 16, x += 16, mask += v.lanes<T>()) {
    v.store(y, v.select(v.mulAdd<T>(k0, v.load(x), k1), k2, v.loadMask<T>(mask)));
  }
  const rest = n & (v.lanes<T>() - 1);
  if (rest) v.storeHead<T>(y, v.select(v.mulAdd<T>(k0, v.load(x), k1), k2, v.loadMask<T>(mask)), rest);
}
