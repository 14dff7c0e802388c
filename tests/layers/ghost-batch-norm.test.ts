import { describe, expect, it } from "vitest";
import { setStageBytes } from "../../src/core/stream.js";
import {
  BatchNorm,
  batchNorm,
  GhostBatchNorm,
  ghostBatchNorm,
  ghostBatchNormBackward,
  ghostBatchNormForward,
  memoryInfo,
  tensor,
} from "../../src/index.js";
import {
  bits,
  channelsLast,
  differenceFromNumerical,
  dot,
  largestDifference,
  tensorOf,
  values,
} from "../support/numbers.js";

const shapes = [
  [6, 3],
  [9, 2, 5],
  [8, 3, 2, 2],
];

/** The rows of x whose number `pick` takes. */
function rowsOf(x: { data: ArrayLike<number>; shape: number[] }, pick: (row: number) => boolean) {
  const width = x.data.length / x.shape[0];
  const rows = Array.from({ length: x.shape[0] }, (_, i) => i).filter(pick);
  const data = Float64Array.from(rows.flatMap((row) => Array.from(x.data).slice(row * width, (row + 1) * width)));
  return { data, shape: [rows.length, ...x.shape.slice(1)] };
}

describe.each(shapes.map((shape) => ({ shape })))("x of $shape", ({ shape }) => {
  const x = tensorOf(shape, 1, "float64", 3);
  const c = shape[1];
  const [weight, bias] = [values(c, 3, 1, 0.5), values(c, 4)];

  it("in one ghost is batch norm, to the bit", () => {
    for (const [input, layout] of [[x, "channels-first"] as const, [channelsLast(x), "channels-last"] as const]) {
      const want = bits(batchNorm(input, { weight, bias, layout }).data);
      for (const arrangement of ["contiguous", "strided"] as const) {
        const options = { weight, bias, layout, arrangement };
        expect(bits(ghostBatchNorm(input, options).data)).toBe(want);
        expect(bits(ghostBatchNorm(input, { ...options, ghostBatchSize: shape[0] }).data)).toBe(want);
      }
    }
  });

  it("normalizes each ghost by itself, neighbours or every so many, and shows them to the running statistics", () => {
    for (const layout of ["channels-first", "channels-last"] as const) {
      const input = layout === "channels-first" ? x : channelsLast(x);
      const size = shape[0] === 8 ? 4 : 3;
      const number = shape[0] / size;
      const picks = {
        contiguous: (ghost: number) => (row: number) => Math.floor(row / size) === ghost,
        strided: (ghost: number) => (row: number) => row % number === ghost,
      };
      for (const arrangement of ["contiguous", "strided"] as const) {
        const ghost = new GhostBatchNorm(c, {
          ghostBatchSize: size,
          arrangement,
          layout,
          dtype: "float64",
          momentum: 0.3,
        });
        const plain = new BatchNorm(c, { layout, dtype: "float64", momentum: 0.3 });
        const y = ghost.forward(input);
        for (let g = 0; g < number; g++) {
          const pick = picks[arrangement](g);
          const want = plain.forward(rowsOf(input, pick));
          expect(largestDifference(rowsOf(y, pick).data, want.data)).toBeLessThan(1e-13);
        }
        expect(largestDifference(ghost.runningMean!, plain.runningMean!)).toBeLessThan(1e-14);
        expect(largestDifference(ghost.runningVar!, plain.runningVar!)).toBeLessThan(1e-14);
        expect(ghost.numBatchesTracked).toBe(number);
        const { runningMean, runningVar } = ghost;
        const evaluated = batchNorm(input, { mode: "eval", runningMean, runningVar, layout });
        expect(bits(ghost.eval().forward(input).data)).toBe(bits(evaluated.data));
      }
    }
  });

  it("strided, has the gradient of finite differences, and the same bits however it comes", () => {
    for (const layout of ["channels-first", "channels-last"] as const) {
      const input = layout === "channels-first" ? tensorOf(shape, 1) : channelsLast(tensorOf(shape, 1));
      const dy = tensorOf(input.shape, 2);
      const options = { weight, bias, layout, arrangement: "strided", ghostBatchSize: shape[0] === 8 ? 4 : 3 } as const;
      const run = () => {
        const { y, saved } = ghostBatchNormForward(input, options);
        const { dx, dweight, dbias } = ghostBatchNormBackward(dy, saved);
        return { y, dx, dweight: dweight!, dbias: dbias! };
      };
      const found = run();
      const loss = () => dot(ghostBatchNorm(input, options).data, dy.data);
      expect(differenceFromNumerical(loss, input.data as Float64Array, found.dx.data)).toBeLessThan(1e-7);
      expect(differenceFromNumerical(loss, weight, found.dweight.data)).toBeLessThan(1e-7);
      expect(differenceFromNumerical(loss, bias, found.dbias.data)).toBeLessThan(1e-7);
      const former = setStageBytes(64);
      expect(Object.values(run()).map(({ data }) => bits(data))).toEqual(
        Object.values(found).map(({ data }) => bits(data)),
      );
      setStageBytes(former);
      const lx = tensor(input.shape, { data: input.data });
      expect(bits(ghostBatchNorm(lx, { ...options, out: lx }).data)).toBe(bits(found.y.data));
      lx.dispose();
    }
  });
});

describe("running statistics", () => {
  const x = tensorOf([10, 2, 3], 1);

  it("follow the sequence in closed form", () => {
    const [momentum, runningMean, runningVar] = [0.2, [1, -1], [1, 1]];
    const { running } = ghostBatchNormForward(x, { ghostBatchSize: 2, momentum, runningMean, runningVar });
    for (let c = 0; c < 2; c++) {
      let want = 0.8 ** 5 * runningMean[c];
      for (let g = 0; g < 5; g++) {
        const ghost = rowsOf(x, (row) => Math.floor(row / 2) === g);
        const mean =
          [0, 1].flatMap((n) => [0, 1, 2].map((s) => ghost.data[(n * 2 + c) * 3 + s])).reduce((a, b) => a + b) / 6;
        want += 0.8 ** (4 - g) * momentum * mean;
      }
      expect(running!.runningMean[c]).toBeCloseTo(want, 13);
    }
  });

  it("see once the average of the ghosts, each by its values, with runningUpdate mean", () => {
    const start = { runningMean: [0, 0], runningVar: [0, 0], momentum: 1 };
    const found = ghostBatchNormForward(x, { ...start, ghostBatchSize: 4, runningUpdate: "mean" }).running!;
    expect(found.numBatchesTracked).toBe(1);
    const parts = [0, 1, 2].map(
      (g) =>
        ghostBatchNormForward(
          rowsOf(x, (row) => Math.floor(row / 4) === g),
          start,
        ).running!,
    );
    for (const name of ["runningMean", "runningVar"] as const) {
      const want = [0, 1].map((c) => 0.4 * parts[0][name][c] + 0.4 * parts[1][name][c] + 0.2 * parts[2][name][c]);
      expect(largestDifference(found[name], want)).toBeLessThan(1e-14);
    }
  });
});

it("rejects ghosts without a deviation, and strided ones that do not divide the batch, and stays as it was", () => {
  const x = tensorOf([5, 3], 1);
  expect(() => ghostBatchNorm(x, { ghostBatchSize: 2 })).toThrow(/x has 1 value a channel in a ghost/);
  expect(() => ghostBatchNorm(x, { ghostBatchSize: 0 })).toThrow(/ghostBatchSize must be a whole number of at least 1/);
  expect(() => ghostBatchNorm(x, { ghostBatchSize: 3, arrangement: "strided" })).toThrow(
    /x has 5 samples.*strided ghosts of 3 do not divide/,
  );
  expect(() => ghostBatchNorm(x, { arrangement: "other" as never })).toThrow(/arrangement must be "contiguous" or/);
  expect(() => ghostBatchNorm(x, { runningUpdate: "other" as never })).toThrow(/runningUpdate must be/);
  const norm = new GhostBatchNorm(3, { ghostBatchSize: 2 });
  norm.forward(tensorOf([4, 3], 1, "float32"));
  const before = norm.stateDict();
  expect(() => norm.forward(x)).toThrow(/in a ghost/);
  expect(norm.stateDict()).toEqual(before);
  expect(memoryInfo().usedBytes).toBe(0);
});
