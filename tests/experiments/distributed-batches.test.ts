/**
 * A batch that is spread over workers in unequal parts: with statistics of its own, each worker normalizes by other
 * numbers and so descends another loss; with merged statistics (Chan, Golub and LeVeque 1983) all agree with one batch,
 * to the last digits. Averages of the workers' statistics are no replacement.
 */
import { describe, expect, it } from "vitest";
import {
  batchNorm,
  batchNormBackward,
  batchNormForward,
  batchNormLocalMoments,
  batchNormMergeMoments,
  syncBatchNormBackward,
  syncBatchNormForward,
  type Tensor,
} from "../../src/index.js";
import { largestDifference, tensorOf } from "../support/numbers.js";
import { columnOf, meanOf, normalMatrix, varianceOf } from "../support/statistics.js";

const channels = 3;
const sizes = [3, 8, 53];
// The workers' data lie around different places, as pages of a sorted file do.
const shards = sizes.map((rows, i) => normalMatrix(rows, channels, i + 1, [4, 0, -1][i], 1 + i));
const dys = sizes.map((rows, i) => tensorOf([rows, channels], 10 + i));
const joined = (parts: Tensor[]): Tensor => ({
  data: Float64Array.from(parts.flatMap(({ data }) => [...data])),
  shape: [parts.reduce((rows, { shape }) => rows + shape[0], 0), channels],
});
const whole = joined(shards);

describe("merged statistics", () => {
  it("give each worker what one batch gives, forward and back", () => {
    const { ys, saved } = syncBatchNormForward(shards, { eps: 0 });
    const { dxs } = syncBatchNormBackward(dys, saved);
    const one = batchNormForward(whole, { eps: 0 });
    expect(largestDifference(joined(ys).data, one.y.data)).toBeLessThan(1e-13);
    expect(largestDifference(joined(dxs).data, batchNormBackward(joined(dys), one.saved).dx.data)).toBeLessThan(1e-13);
  });

  it("are those of all rows in any order of the workers, with an idle one among them", () => {
    const parts = shards.map((shard) => batchNormLocalMoments(shard));
    const idle = batchNormLocalMoments({ data: new Float64Array(0), shape: [0, channels] });
    for (const order of [
      [...parts, idle],
      [idle, parts[2], parts[0], parts[1]],
    ]) {
      const { count, mean, m2 } = batchNormMergeMoments(order);
      expect(count).toBe(64);
      for (let c = 0; c < channels; c++) {
        expect(mean[c]).toBeCloseTo(meanOf(columnOf(whole, c)), 13);
        expect(m2[c] / count).toBeCloseTo(varianceOf(columnOf(whole, c)), 12);
      }
    }
  });
});

describe("statistics of each worker's own", () => {
  const local = shards.map((shard) => batchNormForward(shard, { eps: 0 }));
  const one = batchNormForward(whole, { eps: 0 });

  it("give the same sample another output on another worker", () => {
    const sample = (rows: number, worker: number) => {
      const { data } = shards[worker];
      const x = { data: data.slice(0, rows * channels), shape: [rows, channels] };
      x.data.fill(0.5, 0, channels);
      return batchNorm(x).data.subarray(0, channels);
    };
    expect(largestDifference(sample(3, 0), sample(8, 1))).toBeGreaterThan(0.3);
  });

  it("give other gradients of the loss than the batch has", () => {
    const dx = joined(local.map(({ saved }, i) => batchNormBackward(dys[i], saved).dx));
    const want = batchNormBackward(joined(dys), one.saved).dx;
    expect(largestDifference(dx.data, want.data)).toBeGreaterThan(0.1);
  });

  it("are wrong in the average, which weighs small parts like large ones and misses how far apart they lie", () => {
    for (let c = 0; c < channels; c++) {
      const mean = meanOf(shards.map((shard) => meanOf(columnOf(shard, c))));
      expect(Math.abs(mean - meanOf(columnOf(whole, c)))).toBeGreaterThan(1);
      const total = varianceOf(columnOf(whole, c));
      const within = shards.reduce((sum, shard, i) => sum + (sizes[i] / 64) * varianceOf(columnOf(shard, c)), 0);
      expect(total - within).toBeGreaterThan(0.5);
      // The difference is the variance of the parts' means, each by its size.
      const between = shards.reduce(
        (sum, shard, i) => sum + (sizes[i] / 64) * (meanOf(columnOf(shard, c)) - meanOf(columnOf(whole, c))) ** 2,
        0,
      );
      expect(within + between).toBeCloseTo(total, 12);
    }
  });

  it("are too small by a factor of 1 − 1/m even for data of one kind, other on workers of other sizes", () => {
    const mean = (rows: number) => {
      const x = normalMatrix(rows, 3000, 77 + rows);
      return meanOf(batchNormForward(x, { eps: 0 }).saved.rstd.map((rstd) => rstd ** -2));
    };
    for (const rows of [3, 8, 53]) expect(Math.abs(mean(rows) - (1 - 1 / rows))).toBeLessThan(0.06);
  });
});
