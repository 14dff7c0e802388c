import { describe, expect, it } from "vitest";
import {
  BatchNorm,
  batchNormApply,
  batchNormApplyGradient,
  batchNormBackward,
  batchNormForward,
  batchNormLocalGradients,
  batchNormLocalMoments,
  batchNormMergeGradSums,
  batchNormMergeMoments,
  memoryInfo,
  SyncBatchNorm,
  syncBatchNorm,
  syncBatchNormBackward,
  syncBatchNormForward,
  tensor,
} from "../../src/index.js";
import { bits, largestDifference, tensorOf, values } from "../support/numbers.js";

type Plain = { data: Float32Array | Float64Array; shape: number[] };

/** The rows of x in parts of these sizes. */
function shardsOf(x: Plain, sizes: number[]): Plain[] {
  const width = x.data.length / x.shape[0];
  let from = 0;
  return sizes.map((rows) => {
    const part = { data: x.data.slice(from * width, (from + rows) * width), shape: [rows, ...x.shape.slice(1)] };
    from += rows;
    return part;
  });
}

const joined = (parts: Array<{ data: ArrayLike<number> }>) => parts.flatMap(({ data }) => Array.from(data));

const cases = [
  { shape: [7, 3], sizes: [1, 4, 2], layout: "channels-first" },
  { shape: [6, 2, 5], sizes: [3, 0, 3, 0], layout: "channels-first" },
  { shape: [5, 3, 2, 4], sizes: [5], layout: "channels-last" },
  { shape: [17, 3], sizes: Array<number>(17).fill(1), layout: "channels-last" },
] as const;

describe.each(cases)("x of $shape in $sizes, $layout", ({ shape, sizes, layout }) => {
  const x = tensorOf([...shape], 1, "float64", 2);
  const dy = tensorOf([...shape], 2);
  const c = layout === "channels-last" ? shape[shape.length - 1] : shape[1];
  const options = { weight: values(c, 3, 1, 0.5), bias: values(c, 4), layout, eps: 1e-3 };
  const running = { runningMean: values(c, 5), runningVar: values(c, 6, 1, 0.5), momentum: 0.3 };

  it.each(["train", "eval"] as const)("is batch norm of all the rows, mode %s", (mode) => {
    const want = batchNormForward(x, { ...options, ...running, mode });
    const found = syncBatchNormForward(shardsOf(x, [...sizes]), { ...options, ...running, mode });
    expect(found.ys.map((y) => y.shape[0])).toEqual(sizes);
    expect(largestDifference(joined(found.ys), want.y.data)).toBeLessThan(1e-13);
    expect(largestDifference(found.running!.runningMean, want.running!.runningMean)).toBeLessThan(1e-14);
    expect(largestDifference(found.running!.runningVar, want.running!.runningVar)).toBeLessThan(1e-14);
    const grads = syncBatchNormBackward(shardsOf(dy, [...sizes]), found.saved);
    const wanted = batchNormBackward(dy, want.saved);
    expect(largestDifference(joined(grads.dxs), wanted.dx.data)).toBeLessThan(1e-12);
    expect(largestDifference(grads.dweight!.data, wanted.dweight!.data)).toBeLessThan(1e-12);
    expect(largestDifference(grads.dbias!.data, wanted.dbias!.data)).toBeLessThan(1e-12);
  });

  it("can be worked out by workers that exchange plain data", () => {
    const [shards, dys] = [shardsOf(x, [...sizes]), shardsOf(dy, [...sizes])];
    const sent = shards.map((shard) => structuredClone(batchNormLocalMoments(shard, { layout })));
    const moments = structuredClone(batchNormMergeMoments(sent));
    expect(moments.count).toBe(x.data.length / c);
    const applied = shards.map((shard) => batchNormApply(shard, moments, options));
    const locals = applied.map(({ saved }, i) => batchNormLocalGradients(dys[i], saved));
    const sums = structuredClone(batchNormMergeGradSums(locals.map((local) => structuredClone(local.sums))));
    const dxs = applied.map(({ saved }, i) => batchNormApplyGradient(dys[i], saved, sums));
    const whole = syncBatchNormForward(shards, options);
    const grads = syncBatchNormBackward(dys, whole.saved);
    expect(applied.map(({ y }) => bits(y.data))).toEqual(whole.ys.map(({ data }) => bits(data)));
    expect(dxs.map(({ data }) => bits(data))).toEqual(grads.dxs.map(({ data }) => bits(data)));
    const total = locals.reduce((sum, { dweight }) => sum + dweight!.data[0], 0);
    expect(total).toBeCloseTo(grads.dweight!.data[0], 12);
  });
});

it("gives the same bits for tensors in linear memory", () => {
  const x = tensorOf([6, 3, 5], 1, "float32", 2);
  const shards = shardsOf(x, [4, 2]);
  const made = shards.map(({ data, shape }) => tensor(shape, { data }));
  expect(syncBatchNorm(made).map(({ data }) => bits(data))).toEqual(
    syncBatchNorm(shards).map(({ data }) => bits(data)),
  );
  for (const used of made) used.dispose();
  expect(memoryInfo().usedBytes).toBe(0);
});

it("keeps the digits of shards far apart, in f32", () => {
  const data = Float32Array.from({ length: 4000 }, (_, i) => (i < 2000 ? 1e6 : -1e6) + (i % 2));
  const shards = shardsOf({ data, shape: [4000, 1] }, [2000, 2000]);
  const { mean, m2, count } = batchNormMergeMoments(shards.map((shard) => batchNormLocalMoments(shard)));
  expect(mean[0]).toBe(0.5);
  expect(m2[0] / count).toBe(1e12 + 0.25);
});

it("is a layer with the state of batch norm", () => {
  const x = tensorOf([6, 3], 1);
  const [norm, plain] = [new SyncBatchNorm(3, { dtype: "float64" }), new BatchNorm(3, { dtype: "float64" })];
  expect(() => norm.backward([x])).toThrow(/call forward first/);
  const ys = norm.forward(shardsOf(x, [2, 4]));
  expect(largestDifference(joined(ys), plain.forward(x).data)).toBeLessThan(1e-14);
  norm.backward(shardsOf(x, [2, 4]));
  plain.backward(x);
  expect(largestDifference(norm.weight!.grad!, plain.weight!.grad!)).toBeLessThan(1e-13);
  plain.loadStateDict(norm.stateDict());
  expect(largestDifference(joined(norm.eval().forward([x])), plain.eval().forward(x).data)).toBeLessThan(1e-15);
});

it("rejects bad input by name, and stays as it was", () => {
  const x = tensorOf([4, 3], 1);
  const none = { data: new Float64Array(0), shape: [0, 3] };
  expect(() => syncBatchNorm([])).toThrow(/shards must be a list of tensors/);
  expect(() => syncBatchNorm([none, none])).toThrow(/shards have no elements/);
  expect(() => syncBatchNorm([x, tensorOf([4, 2], 1)])).toThrow(/shard 1 has 2 channels.*shard 0 has 3/);
  expect(() => syncBatchNorm([x, tensorOf([4, 3], 1, "float32")])).toThrow(/shard 1 is a Float32Array where shard 0/);
  expect(() => syncBatchNorm([none, tensorOf([1, 3], 1)])).toThrow(/1 value a channel in all/);
  expect(() => syncBatchNorm([x], { mode: "eval" })).toThrow(/must be given in mode "eval"/);
  const { saved } = syncBatchNormForward([x, none]);
  expect(() => syncBatchNormBackward([x], saved)).toThrow(/dys must be a list of 2 tensors/);
  expect(() => syncBatchNormBackward([x, x], saved)).toThrow(/dy must have no rows/);
  expect(() => batchNormMergeMoments([])).toThrow(/parts must hold at least one part/);
  const moments = batchNormLocalMoments(x);
  expect(() => batchNormMergeMoments([moments, batchNormLocalMoments(tensorOf([4, 2], 1))])).toThrow(
    /differ in channels/,
  );
  expect(() => batchNormApply(tensorOf([4, 2], 1), moments)).toThrow(/moments are of 3 channels where x has 2/);
  expect(() => batchNormApply(x, batchNormLocalMoments(none))).toThrow(
    /moments\.count must be a whole number of at least 2/,
  );
  const norm = new SyncBatchNorm(3);
  const before = norm.stateDict();
  expect(() => norm.forward([x, tensorOf([4, 2], 1)])).toThrow(/channels/);
  expect(() => norm.forward([tensorOf([4, 2], 1)])).toThrow(/the layer has 3/);
  expect(norm.stateDict()).toEqual(before);
  expect(memoryInfo().usedBytes).toBe(0);
});
