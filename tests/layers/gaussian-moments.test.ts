import { describe, expect, it } from "vitest";
import {
  gaussianMoments,
  momentMap,
  normPropActivation,
  normPropRelu,
  SELU_ALPHA,
  SELU_LAMBDA,
} from "../../src/index.js";

describe("moments of a function of a standard normal number", () => {
  it("are those known in closed form", () => {
    const close = (got: number, want: number) => expect(Math.abs(got - want)).toBeLessThan(1e-14 * Math.max(1, want));
    const of = (fn: (z: number) => number) => gaussianMoments(fn);
    close(of((z) => z).mean, 0);
    close(of((z) => z).variance, 1);
    close(of((z) => 3 - 2 * z).mean, 3);
    close(of((z) => 3 - 2 * z).deviation, 2);
    close(of((z) => z * z).variance, 2);
    close(of((z) => z ** 4).mean, 3);
    close(of(Math.cos).mean, Math.exp(-0.5));
    close(of(Math.exp).mean, Math.exp(0.5));
    close(of(Math.abs).mean, Math.sqrt(2 / Math.PI));
  });

  it("are those of the ReLU and the SELU", () => {
    const relu = gaussianMoments((z) => Math.max(z, 0));
    expect(Math.abs(relu.mean - 0.3989422804014327)).toBeLessThan(1e-15);
    expect(Math.abs(relu.deviation - 0.5838193701035489)).toBeLessThan(1e-15);
    const activation = normPropActivation(
      (z) => Math.max(z, 0),
      (z) => (z > 0 ? 1 : 0),
    );
    for (const name of ["mean", "deviation", "gamma"] as const) {
      expect(Math.abs(activation[name] - normPropRelu[name])).toBeLessThan(1e-15);
    }
    expect(1 / normPropRelu.gamma).toBeCloseTo(1.2111738962363165, 14);
    const selu = gaussianMoments((z) => SELU_LAMBDA * (z > 0 ? z : SELU_ALPHA * Math.expm1(z)));
    const want = momentMap(0, 1);
    expect(Math.abs(selu.mean - want.mean)).toBeLessThan(1e-14);
    expect(Math.abs(selu.variance - want.variance)).toBeLessThan(1e-14);
  });

  it("take jumps where they are told", () => {
    const step = (z: number) => (z > 0.3 ? 1 : 0);
    const { mean, variance } = gaussianMoments(step, { breakpoints: [0.3] });
    expect(Math.abs(mean - 0.3820885778110474)).toBeLessThan(1e-14);
    expect(Math.abs(variance - mean * (1 - mean))).toBeLessThan(1e-14);
  });

  it("name what does not fit", () => {
    expect(() => gaussianMoments(3 as never)).toThrow(/fn must be a function of one number, got 3/);
    expect(() => gaussianMoments((z) => 1 / (z > 14 ? 0 : 1))).toThrow(
      /fn must give finite numbers, got Infinity for 14/,
    );
    expect(() => gaussianMoments(Math.abs, { breakpoints: [Number.NaN] })).toThrow(
      /breakpoints must be finite numbers/,
    );
    expect(() =>
      normPropActivation(
        () => 2,
        () => 0,
      ),
    ).toThrow(/fn must not be constant/);
  });
});
