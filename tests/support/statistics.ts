/** Random numbers, and what is counted of them, in the plainest form. */
import { random } from "./numbers.js";

/** Standard normal numbers from a seed, by Box and Muller. */
export function normals(length: number, seed: number): Float64Array {
  const next = random(seed);
  const uniform = () => (next() + 1) / 2;
  return Float64Array.from(
    { length },
    () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

/** A matrix of normal numbers. */
export function normalMatrix(rows: number, columns: number, seed: number, mean = 0, deviation = 1) {
  return { data: normals(rows * columns, seed).map((value) => mean + deviation * value), shape: [rows, columns] };
}

export function meanOf(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum / values.length;
}

/** The variance with n − ddof. */
export function varianceOf(values: ArrayLike<number>, ddof = 0): number {
  const mean = meanOf(values);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] - mean) ** 2;
  return sum / (values.length - ddof);
}

export function lengthOf(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] ** 2;
  return Math.sqrt(sum);
}

/** A column of a matrix. */
export function columnOf({ data, shape }: { data: ArrayLike<number>; shape: readonly number[] }, column: number) {
  return Float64Array.from({ length: shape[0] }, (_, row) => data[row * shape[1] + column]);
}

/** The slope and the correlation of the line of least squares through points. */
export function lineThrough(x: ArrayLike<number>, y: ArrayLike<number>): { slope: number; correlation: number } {
  const [mx, my] = [meanOf(x), meanOf(y)];
  let [xx, xy, yy] = [0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    xx += (x[i] - mx) ** 2;
    xy += (x[i] - mx) * (y[i] - my);
    yy += (y[i] - my) ** 2;
  }
  return { slope: xy / xx, correlation: xy / Math.sqrt(xx * yy) };
}
