/**
 * Rows chosen by a mask: packed together, so that the other kernels see only them, and cleared.
 *
 * Shapes: x [rows, cols], mask uint8, one a row, 0 = left out. For a plane of single elements, cols is 1.
 *   out holds the kept rows in order and may be x. Exact.
 */

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
