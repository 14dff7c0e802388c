/**
 * Normalization over groups of cells, forward and backward: batch, group and instance norm differ in `groupOf` alone.
 *
 *     mean, var = moments of the group;  rstd = 1/√(var + eps);  y = (x − mean)·rstd·weight[c] + bias[c]
 *     dx = rstd·(g − Σg/N − (x − mean)·rstd²·Σg(x − mean)/N), g = dy·weight[c], sums over the group of N values
 *     dweight[c] = Σ dy·(x − mean)·rstd,  dbias[c] = Σ dy
 */
import { applyAffine, applyGradient, cellGradSums, cellMoments, type Mask } from "./cells.js";
import type { Geometry } from "./geometry.js";
import { type Moments, mergeCells } from "./moments.js";
import type { Operand, Target } from "./tensor.js";

export interface Grouping {
  groups: number;
  groupOf(cell: number): number;
  /** Whether every sample of a channel is in the same group, so that coefficients are one a channel. */
  perChannel: boolean;
}

/** One group for each channel, over all samples: batch norm. */
export function byChannel({ c }: Geometry): Grouping {
  return { groups: c, groupOf: (cell) => cell % c, perChannel: true };
}

/** `numGroups` groups of neighbouring channels in each sample: group norm; instance norm with one channel a group. */
export function byGroup({ n, c }: Geometry, numGroups: number): Grouping {
  const width = c / numGroups;
  return { groups: n * numGroups, groupOf: (cell) => Math.floor(cell / width), perChannel: false };
}

/** Moments of each channel over the batch. */
export function channelMoments(x: Operand, geometry: Geometry, mask?: Mask): Moments {
  return mergeCells(cellMoments(x, geometry, mask), geometry.c, byChannel(geometry).groupOf);
}

/** Σ over the cells of each channel. */
export function sumChannels(cells: Float64Array, channels: number): Float64Array {
  const sums = new Float64Array(channels);
  for (let i = 0; i < cells.length; i++) sums[i % channels] += cells[i];
  return sums;
}

/** mean and rstd of each group, N values in each. */
export interface GroupStatistics {
  mean: Float64Array;
  rstd: Float64Array;
  count: Float64Array;
}

/** y = (x − mean)·rstd·weight + bias with the statistics of each group. */
export function applyGroups(
  y: Target,
  x: Operand,
  geometry: Geometry,
  grouping: Grouping,
  { mean, rstd }: Pick<GroupStatistics, "mean" | "rstd">,
  weight: Float64Array,
  bias: Float64Array,
  mask?: Mask,
): void {
  const { c } = geometry;
  const size = grouping.perChannel ? c : geometry.n * c;
  const affine = { mean: new Float64Array(size), scale: new Float64Array(size), shift: new Float64Array(size) };
  for (let i = 0; i < size; i++) {
    const group = grouping.groupOf(i);
    affine.mean[i] = mean[group];
    affine.scale[i] = rstd[group] * weight[i % c];
    affine.shift[i] = bias[i % c];
  }
  applyAffine(y, x, geometry, affine, mask);
}

export interface ChannelGrads {
  dweight: Float64Array;
  dbias: Float64Array;
}

/** Writes dx, through the statistics or, where they are `constant`, past them; returns dweight and dbias. */
export function applyGroupsGrad(
  dx: Target,
  dy: Operand,
  x: Operand,
  geometry: Geometry,
  grouping: Grouping,
  { mean, rstd, count }: GroupStatistics,
  weight: Float64Array,
  constant: boolean,
  mask?: Mask,
): ChannelGrads {
  const { n, c } = geometry;
  const cells = n * c;
  const size = grouping.perChannel ? c : cells;
  const means = new Float64Array(size);
  for (let i = 0; i < size; i++) means[i] = mean[grouping.groupOf(i)];
  const sums = cellGradSums(dy, x, geometry, means, mask);

  const dweight = new Float64Array(c);
  const dbias = new Float64Array(c);
  const sumG = new Float64Array(grouping.groups);
  const sumGD = new Float64Array(grouping.groups);
  for (let i = 0; i < cells; i++) {
    const channel = i % c;
    const group = grouping.groupOf(i);
    sumG[group] += weight[channel] * sums.dy[i];
    sumGD[group] += weight[channel] * sums.dyx[i];
    dweight[channel] += sums.dyx[i] * rstd[group];
    dbias[channel] += sums.dy[i];
  }

  if (constant) {
    const scale = Float64Array.from(means, (_, i) => rstd[grouping.groupOf(i)] * weight[i % c]);
    applyAffine(dx, dy, geometry, { mean: new Float64Array(size), scale, shift: new Float64Array(size) }, mask);
    return { dweight, dbias };
  }
  const of = (value: (group: number, channel: number) => number) =>
    Float64Array.from(means, (_, i) => value(grouping.groupOf(i), i % c));
  const gradient = {
    mean: means,
    rstd: of((group) => rstd[group]),
    weight: of((_, channel) => weight[channel]),
    slope: of((group) => -(rstd[group] * rstd[group]) * (sumGD[group] / count[group])),
    constant: of((group) => -(sumG[group] / count[group])),
  };
  applyGradient(dx, dy, x, geometry, gradient, mask);
  return { dweight, dbias };
}
