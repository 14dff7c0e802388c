/** What `inspect` tells of the columns of a table, in one pass. */
import type { TypedArray } from "../core/memory.js";
import { MinMaxScaler } from "../preprocessing/min-max-scaler.js";
import { QuantileSketch } from "../preprocessing/quantiles.js";
import { StandardScaler } from "../preprocessing/standard-scaler.js";
import { rowsOf } from "./methods.js";

export interface ColumnStatistics {
  count: number;
  missing: number;
  /** Infinities, which no other figure takes in. */
  infinite: number;
  mean: number;
  std: number;
  min: number;
  quartiles: [number, number, number];
  max: number;
  /** How many values lie in each of equal parts from `min` to `max`. */
  histogram: number[];
}

const BARS = 12;

export class Statistics {
  readonly #moments = new StandardScaler();
  readonly #extremes = new MinMaxScaler();
  readonly #sketches: QuantileSketch[];
  readonly #infinite: Float64Array;
  #rows = 0;

  constructor(columns: number) {
    this.#sketches = Array.from({ length: columns }, () => QuantileSketch.of(new Float64Array(0)));
    this.#infinite = new Float64Array(columns);
  }

  /** Takes in rows. The values are changed: infinities become NaN. */
  add(values: TypedArray): void {
    const width = this.#sketches.length;
    const rows = values.length / width;
    for (let i = 0; i < values.length; i++) {
      if (Math.abs(values[i]) !== Infinity) continue;
      this.#infinite[i % width]++;
      values[i] = NaN;
    }
    this.#moments.partialFit(rowsOf(values, width));
    this.#extremes.partialFit(rowsOf(values, width));
    const column = new Float64Array(rows);
    for (let j = 0; j < width; j++) {
      let count = 0;
      for (let at = j; at < values.length; at += width) if (!Number.isNaN(values[at])) column[count++] = values[at];
      this.#sketches[j] = this.#sketches[j].joined(QuantileSketch.of(column.subarray(0, count)));
    }
    this.#rows += rows;
  }

  get columns(): ColumnStatistics[] {
    const { mean, variance, nSamplesSeen } = this.#moments;
    const { dataMin, dataMax } = this.#extremes;
    return this.#sketches.map((sketch, j) => {
      const count = typeof nSamplesSeen === "number" ? nSamplesSeen : nSamplesSeen[j];
      return {
        count,
        missing: this.#rows - count - this.#infinite[j],
        infinite: this.#infinite[j],
        mean: mean[j],
        std: Math.sqrt(variance[j]),
        min: dataMin[j],
        quartiles: sketch.quantiles([0.25, 0.5, 0.75]) as [number, number, number],
        max: dataMax[j],
        histogram: count === 0 ? [] : histogramOf(sketch, dataMin[j], dataMax[j]),
      };
    });
  }
}

function histogramOf({ levels }: QuantileSketch, min: number, max: number): number[] {
  const bars = new Array<number>(BARS).fill(0);
  for (const [l, level] of levels.entries()) {
    for (const value of level) {
      // Halves first: the difference of two large values of unlike sign may overflow.
      const share = max > min ? (value / 2 - min / 2) / (max / 2 - min / 2) : 0.5;
      bars[Math.min(BARS - 1, Math.floor(share * BARS))] += 2 ** l;
    }
  }
  return bars;
}
