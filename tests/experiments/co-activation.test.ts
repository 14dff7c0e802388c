/**
 * What batch norm does to random ReLU networks of 30 layers (Balduzzi et al. 2017, arXiv:1702.08591): with it, a unit
 * is active for about half of the inputs, and for both of a quarter of the pairs of inputs, at any depth, as if units
 * chose by themselves; without it the share of pairs climbs with depth to that of units that are on for all inputs or
 * none. In residual networks the variance doubles with every block without batch norm and grows by one with it.
 */
import { describe, expect, it } from "vitest";
import { batchNorm, type Tensor } from "../../src/index.js";
import { Linear, Network } from "../support/network.js";
import { meanOf, normalMatrix, varianceOf } from "../support/statistics.js";

/** The share of inputs that a unit is active for, and of pairs of inputs that it is active for both of; over all units. */
function coActivation({ data, shape: [inputs, units] }: Tensor): { active: number; both: number } {
  let active = 0;
  let both = 0;
  for (let unit = 0; unit < units; unit++) {
    let count = 0;
    for (let i = 0; i < inputs; i++) if (data[i * units + unit] > 0) count++;
    active += count / inputs;
    both += (count * (count - 1)) / (inputs * (inputs - 1));
  }
  return { active: active / units, both: both / units };
}

function layersOf(norm: "batch" | undefined, seed: number) {
  const network = new Network({ sizes: [50, ...Array(30).fill(100), 1], seed, norm });
  network.forward(normalMatrix(40, 50, seed + 10));
  return network.activations().map(({ output }) => coActivation(output));
}

describe.each([1, 2, 3])("in a random network of seed %i", (seed) => {
  it("a quarter of the pairs are active together at every depth with batch norm", () => {
    for (const { active, both } of layersOf("batch", seed)) {
      expect(Math.abs(active - 0.5)).toBeLessThan(0.06);
      expect(Math.abs(both - 0.25)).toBeLessThan(0.05);
    }
  });

  it("more and more are without", () => {
    const both = layersOf(undefined, seed).map((layer) => layer.both);
    expect(Math.abs(both[0] - 0.25)).toBeLessThan(0.05);
    expect(meanOf(both.slice(20))).toBeGreaterThan(0.4);
    expect(meanOf(both.slice(20))).toBeGreaterThan(meanOf(both.slice(0, 5)) + 0.1);
  });
});

describe("the variance in a residual network", () => {
  const width = 200;
  /** x + W·relu(x), or x + W·relu(BN(x)), block after block; W keeps the variance of a normal x. */
  const variances = (norm: boolean) => {
    let x: Tensor = normalMatrix(64, width, 1);
    return Array.from({ length: 20 }, (_, block) => {
      const branch = norm ? batchNorm(x) : x;
      const active = { data: (branch.data as Float64Array).map((value) => Math.max(value, 0)), shape: branch.shape };
      const added = new Linear(width, width, 100 + block, { bias: false }).forward(active);
      x = { data: (x.data as Float64Array).map((value, i) => value + added.data[i]), shape: x.shape };
      return varianceOf(x.data);
    });
  };

  it("doubles with each block without batch norm", () => {
    const found = variances(false);
    for (let i = 1; i < found.length; i++) expect(Math.abs(found[i] / found[i - 1] - 2)).toBeLessThan(0.4);
    expect(Math.log2(found[19] / found[0]) / 19).toBeCloseTo(1, 0);
  });

  it("grows by about one with each block with it", () => {
    const found = variances(true);
    for (let i = 1; i < found.length; i++) expect(Math.abs(found[i] - found[i - 1] - 1)).toBeLessThan(0.4);
    expect(found[19]).toBeLessThan(30);
  });
});
