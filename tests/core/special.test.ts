import { describe, expect, it } from "vitest";
import { erf, erfc, erfcx, exp, log } from "../../src/core/special.js";

/** x, erf x, erfc x and erfcx x, worked out with 90 digits. */
const known = [
  [0.001, 0.0011283787909692365, 0.9988716212090307, 0.9988726200811514],
  [0.1, 0.1124629160182849, 0.887537083981715, 0.8964569799691267],
  [0.5, 0.5204998778130465, 0.4795001221869535, 0.6156903441929259],
  [0.999, 0.8422852702064969, 0.15771472979350307, 0.4278569426214168],
  [1, 0.8427007929497149, 0.15729920705028513, 0.427583576155807],
  [1.5, 0.9661051464753108, 0.033894853524689274, 0.3215854164543175],
  [2, 0.9953222650189527, 0.004677734981047266, 0.25539567631050575],
  [3.7, 0.9999998328489421, 1.6715105790914599e-7, 0.1474349975371851],
  [5, 0.9999999999984626, 1.537459794428035e-12, 0.11070463773306863],
  [8, 1, 1.1224297172982926e-29, 0.06998516620088092],
];

describe("the error function and its relatives", () => {
  it.each(known)("at ±%f", (x, a, b, c) => {
    const close = (got: number, want: number) => expect(Math.abs(got / want - 1)).toBeLessThan(2e-15);
    close(erf(x), a);
    close(erf(-x), -a);
    close(erfc(x), b);
    close(erfc(-x), 1 + a);
    close(erfcx(x), c);
    if (x <= 5) close(erfcx(-x), (1 + a) * (c / b));
  });

  it("at the ends", () => {
    expect([erf(0), erfc(0), erf(40), erfc(40), erf(Infinity), erfc(-Infinity), erf(-40)]).toEqual([
      0, 1, 1, 0, 1, 2, -1,
    ]);
    expect(erfcx(1e10) * 1e10 * Math.sqrt(Math.PI)).toBeCloseTo(1, 14);
    expect([erf(Number.NaN), erfc(Number.NaN), erfcx(Number.NaN)]).toEqual([Number.NaN, Number.NaN, Number.NaN]);
    expect(Math.abs(exp(1) / Math.E - 1)).toBeLessThan(5e-16);
  });
});

/** x and log x, worked out with 60 digits. */
const logarithms = [
  [5e-324, -744.4400719213812],
  [1e-9, -20.72326583694641],
  [0.2, -1.6094379124341003],
  [0.7071067811865475, -0.34657359027997275],
  [0.999, -0.0010005003335835344],
  [1, 0],
  [1.001, 0.0009995003330834232],
  [1.5, 0.4054651081081644],
  [3, 1.0986122886681098],
  [1e300, 690.7755278982137],
];

it.each(logarithms)("the logarithm of %f", (x, want) => {
  expect(Math.abs(log(x) - want)).toBeLessThanOrEqual(5e-16 * Math.abs(want));
});
