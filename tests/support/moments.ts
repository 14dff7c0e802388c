/** Mean and M2 in f64, of the data less a constant near them, which is exact. */
export function momentsOf(x: ArrayLike<number>) {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] - x[0];
  const shift = sum / x.length;
  let m2 = 0;
  for (let i = 0; i < x.length; i++) m2 += (x[i] - x[0] - shift) ** 2;
  return { mean: x[0] + shift, m2 };
}
