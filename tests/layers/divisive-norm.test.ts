import { describe, expect, it } from "vitest";
import {
  batchNorm,
  DivisiveNorm,
  divisiveNorm,
  divisiveNormBackward,
  divisiveNormForward,
  layerNorm,
} from "../../src/index.js";
import { bits, channelsLast, differenceFromNumerical, dot, largestDifference, tensorOf } from "../support/numbers.js";

describe("divisiveNorm", () => {
  it.each([true, false])(
    "has the gradient of finite differences, zeros counted at the borders: %s",
    (countIncludePad) => {
      for (const [shape, window] of [
        [
          [2, 3, 4, 5],
          [3, 3],
        ],
        [
          [1, 2, 3, 7],
          [5, 1],
        ],
        [
          [1, 5, 2, 2],
          [7, 7],
        ],
        [[3, 17], 5],
      ] as Array<[number[], number[] | number]>) {
        const x = tensorOf(shape, 1);
        const dy = tensorOf(shape, 2);
        const sigma = new Float64Array([0.7]);
        const run = () => divisiveNormForward(x, { window, sigma: sigma[0], countIncludePad });
        const { y, saved } = run();
        const { dx, dsigma } = divisiveNormBackward(dy, saved);
        const loss = () => dot(run().y.data, dy.data);
        expect(differenceFromNumerical(loss, x.data as Float64Array, dx.data)).toBeLessThan(1e-7);
        expect(differenceFromNumerical(loss, sigma, [dsigma])).toBeLessThan(1e-7);
        if (shape.length < 4) continue;
        const last = divisiveNormForward(channelsLast(x), {
          window,
          sigma: 0.7,
          countIncludePad,
          layout: "channels-last",
        });
        expect(largestDifference(last.y.data, channelsLast(y).data)).toBeLessThan(1e-13);
        const back = divisiveNormBackward(channelsLast(dy), last.saved);
        expect(largestDifference(back.dx.data, channelsLast(dx).data)).toBeLessThan(1e-13);
        expect(back.dsigma).toBeCloseTo(dsigma, 11);
      }
    },
  );

  it("with windows over everything is layer norm with eps = sigma²", () => {
    const x = tensorOf([3, 4, 5, 6], 3, "float64", 2);
    const y = divisiveNorm(x, { window: [11, 11], sigma: 0.5, countIncludePad: false });
    expect(largestDifference(y.data, layerNorm(x, { normalizedShape: [4, 5, 6], eps: 0.25 }).data)).toBeLessThan(1e-12);
  });

  it.each(["window", "batch", "layer"] as const)("has a penalty on the loss and in the gradient, over %s", (over) => {
    for (const [shape, layout] of [
      [[2, 3, 4, 5], "channels-first"],
      [[2, 4, 5, 3], "channels-last"],
    ] as const) {
      const x = tensorOf([...shape], 1, "float64", 1);
      const dy = tensorOf([...shape], 2);
      const run = () => divisiveNormForward(x, { over, window: [3, 3], sigma: 0.5, penalty: 2, layout });
      const { saved, penalty } = run();
      const { dx } = divisiveNormBackward(dy, saved);
      const loss = () => {
        const { y, penalty: added } = run();
        return dot(y.data, dy.data) + added;
      };
      expect(penalty).toBeGreaterThan(0.1);
      expect(differenceFromNumerical(loss, x.data as Float64Array, dx.data)).toBeLessThan(1e-7);
      expect(() => divisiveNormBackward(dy, saved, { out: x })).toThrow(/out must not be x/);
    }
  });

  it("over the batch and over the sample is batch and layer norm with eps = sigma²", () => {
    const x = tensorOf([3, 4, 5, 6], 3, "float64", 2);
    const batch = divisiveNorm(x, { over: "batch", sigma: 0.5 });
    expect(largestDifference(batch.data, batchNorm(x, { eps: 0.25 }).data)).toBeLessThan(1e-12);
    const sample = divisiveNorm(x, { over: "layer", sigma: 0.5 });
    expect(largestDifference(sample.data, layerNorm(x, { normalizedShape: [4, 5, 6], eps: 0.25 }).data)).toBeLessThan(
      1e-12,
    );
  });

  it("is a layer whose sigma learns", () => {
    const x = tensorOf([2, 3, 4, 5], 1);
    const layer = new DivisiveNorm({ window: [3, 3], sigma: 0.7, dtype: "float64" });
    const y = layer.forward(x);
    expect(bits(y.data)).toBe(bits(divisiveNorm(x, { window: [3, 3], sigma: 0.7 }).data));
    layer.backward(x);
    expect(layer.sigma.grad!.length).toBe(1);
    const copy = new DivisiveNorm({ window: [3, 3] }).loadStateDict(layer.stateDict());
    expect(copy.sigma.data[0]).toBeCloseTo(0.7, 6);
  });

  it("names what is wrong", () => {
    const x = tensorOf([2, 3, 4, 5], 1);
    expect(() => divisiveNorm(x, { window: [2, 3] })).toThrow(/window must be odd, got \[2, 3\]/);
    expect(() => divisiveNorm(x, { window: [3, 3], sigma: -1 })).toThrow(/sigma must be/);
    expect(() => divisiveNorm(tensorOf([2, 3, 4], 1), { window: [3, 3] })).toThrow(/x must have the dimensions/);
  });
});
