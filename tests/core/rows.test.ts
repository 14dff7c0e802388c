import { expect, it } from "vitest";
import { groupNormBackward, groupNormForward, memoryInfo, tensor } from "../../src/index.js";
import { bits, tensorOf, values } from "../support/numbers.js";

it("rows too long to stage whole take their own weights, in linear memory too", () => {
  const shape = [2, 80000];
  const [x, dy] = [tensorOf(shape, 1, "float32"), tensorOf(shape, 2, "float32")];
  const options = { numGroups: 2, weight: values(80000, 3), bias: values(80000, 4) };
  const want = groupNormForward(x, options);
  const grads = groupNormBackward(dy, want.saved);
  const [lx, ldy] = [x, dy].map(({ data }) => tensor(shape, { data }));
  const out = tensor(shape);
  const found = groupNormForward(lx, { ...options, out });
  expect(bits(out.data)).toBe(bits(want.y.data));
  const { dweight, dbias } = groupNormBackward(ldy, found.saved, { out: ldy });
  expect(bits(ldy.data)).toBe(bits(grads.dx.data));
  expect(bits(dweight!.data)).toBe(bits(grads.dweight!.data));
  expect(bits(dbias!.data)).toBe(bits(grads.dbias!.data));
  for (const used of [lx, ldy, out]) used.dispose();
  expect(memoryInfo().usedBytes).toBe(0);
});
