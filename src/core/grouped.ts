/**
 * Normalization over groups of cells, forward and backward: batch, group and instance norm differ in `groupOf` alone.
 *
 *     mean, var = moments of the group;  rstd = 1/√(var + eps);  y = (x − mean)·rstd·weight[c] + bias[c]
 *     dx = rstd·(g − Σg/N − (x − mean)·rstd²·Σg(x − mean)/N), g = dy·weight[c], sums over the group of N values
 *     dweight[c] = Σ dy·(x − mean)·rstd,  dbias[c] = Σ dy
 */
import { applyAffine, applyGradient, cellGradSums, cellMoments, type Mask } from "./cells.js";
import type { Geometry } from "./geometry.js";
import { copyF64, kernelsOf, passingF64, scratch, scratchF64, withScratch } from "./memory.js";
import { type Moments, mergeCells, rstdOf } from "./moments.js";
import { stageValues, streamGroups, type Tiles } from "./stream.js";
import type { Operand, Target } from "./tensor.js";

export interface Grouping {
  groups: number;
  groupOf(cell: number): number;
  /** Whether every sample of a channel is in the same group, so that coefficients are one a channel. */
  perChannel: boolean;
  /** Where groups are blocks of neighbouring samples and channels: group by group, they pass through the cache once. */
  block?: { samples: number; channels: number };
}

/** Groups of `samples` neighbouring samples (the last fewer) and `channels` neighbouring channels. */
export function byBlock({ n, c }: Geometry, samples: number, channels: number): Grouping {
  const across = c / channels;
  const cells = samples * c;
  return {
    groups: Math.ceil(n / samples) * across,
    groupOf: (cell) => Math.floor(cell / cells) * across + Math.floor((cell % c) / channels),
    perChannel: channels === 1 && samples >= n,
    block: { samples, channels },
  };
}

/** The channel of the next cell: i % c for one cell after the other, without a division for each. */
function nextOf(channel: number, channels: number): number {
  return channel + 1 === channels ? 0 : channel + 1;
}

/** One group for each channel, over all samples: batch norm. */
export function byChannel(geometry: Geometry): Grouping {
  return byBlock(geometry, geometry.n, 1);
}

/** `numGroups` groups of neighbouring channels in each sample: group norm; instance norm with one channel a group. */
export function byGroup(geometry: Geometry, numGroups: number): Grouping {
  return byBlock(geometry, 1, geometry.c / numGroups);
}

/** Moments of each channel over the batch. */
export function channelMoments(x: Operand, geometry: Geometry, mask?: Mask): Moments {
  const moments = cellMoments(x, geometry, mask);
  return geometry.n === 1 ? moments : mergeCells(moments, geometry.c, byChannel(geometry).groupOf);
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

/** What normalizing by groups found: their moments, and 1/√(M2/count + eps). */
export interface GroupMoments extends Moments {
  rstd: Float64Array;
}

/** Moments of each group. */
function momentsOf(x: Operand, geometry: Geometry, grouping: Grouping, mask?: Mask): Moments {
  const { n, s, order } = geometry;
  const { groups, groupOf, block } = grouping;
  // Neighbouring channels of one sample are one run.
  if (order === "rows" && block?.samples === 1 && mask === undefined) {
    return cellMoments(x, { n, c: groups / n, s: block.channels * s, order });
  }
  return mergeCells(cellMoments(x, geometry, mask), groups, groupOf);
}

/** Where the groups lie in runs, if they do. */
function tilesOf({ n, c, s, order }: Geometry, { block }: Grouping, mask?: Mask): Tiles | null {
  if (order !== "rows" || block === undefined || mask !== undefined) return null;
  const length = block.channels * s;
  // Where no group spans samples, all of them follow each other.
  if (block.samples === 1) return { bands: 1, groups: (n * c) / block.channels, parts: 1, lastParts: 1, length };
  const bands = Math.ceil(n / block.samples);
  const parts = Math.min(block.samples, n);
  return { bands, groups: c / block.channels, parts, lastParts: n - (bands - 1) * parts, length };
}

/** Writes y = (x − mean)·rstd·weight + bias with the statistics of each group, and returns them. */
export function normalizeGroups(
  y: Target,
  x: Operand,
  geometry: Geometry,
  grouping: Grouping,
  weight: Float64Array,
  bias: Float64Array,
  eps: number,
  mask?: Mask,
): GroupMoments {
  const tiles = tilesOf(geometry, grouping, mask);
  const { groups } = grouping;
  return withScratch(() => {
    const [mean, m2, rstd] = [scratch(groups * 8), scratch(groups * 8), scratch(groups * 8)];
    const weights = stageValues(weight, "float64");
    const biases = stageValues(bias, "float64");
    const channels = grouping.block?.channels ?? 1;
    const period = geometry.c / channels;
    const k = kernelsOf(x.dtype);
    const count = new Float64Array(groups);
    const fits =
      tiles !== null &&
      streamGroups(tiles, [x], [y], ([from, to], first, size, parts, step) => {
        const at = 8 * first;
        const [a, b, r] = [mean + at, m2 + at, rstd + at];
        const { s } = geometry;
        k.planeNormalize(to, from, a, b, r, weights, biases, size, parts, channels, s, step, first, period, eps);
        count.fill(parts * tiles.length, first, first + size);
      });
    if (fits) return { count, mean: copyF64(mean, groups), m2: copyF64(m2, groups), rstd: copyF64(rstd, groups) };
    const moments = momentsOf(x, geometry, grouping, mask);
    const statistics = { ...moments, rstd: rstdOf(moments, eps) };
    applyGroups(y, x, geometry, grouping, statistics, weight, bias, mask);
    return statistics;
  });
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
  const { n, c } = geometry;
  if (grouping.perChannel) {
    const scale = passingF64(c);
    for (let i = 0; i < c; i++) scale[i] = rstd[i] * weight[i];
    applyAffine(y, x, geometry, { mean, scale, shift: bias }, mask);
    return;
  }
  const [center, scale, shift] = [new Float64Array(n * c), new Float64Array(n * c), new Float64Array(n * c)];
  for (let i = 0; i < n * c; i++) {
    const group = grouping.groupOf(i);
    center[i] = mean[group];
    scale[i] = rstd[group] * weight[i % c];
    shift[i] = bias[i % c];
  }
  applyAffine(y, x, geometry, { mean: center, scale, shift }, mask);
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
  const tiles = constant ? null : tilesOf(geometry, grouping, mask);
  const found = tiles && tilesGrad(dx, dy, x, geometry, grouping, tiles, { mean, rstd }, weight);
  if (found) return found;

  const { n, c } = geometry;
  const cells = n * c;
  const size = grouping.perChannel ? c : cells;
  const means = new Float64Array(size);
  for (let i = 0; i < size; i++) means[i] = mean[grouping.perChannel ? i : grouping.groupOf(i)];
  const sums = cellGradSums(dy, x, geometry, means, mask);

  const dweight = new Float64Array(c);
  const dbias = new Float64Array(c);
  const sumG = new Float64Array(grouping.groups);
  const sumGD = new Float64Array(grouping.groups);
  for (let i = 0, channel = 0; i < cells; i++, channel = nextOf(channel, c)) {
    const group = grouping.perChannel ? channel : grouping.groupOf(i);
    sumG[group] += weight[channel] * sums.dy[i];
    sumGD[group] += weight[channel] * sums.dyx[i];
    dweight[channel] += sums.dyx[i] * rstd[group];
    dbias[channel] += sums.dy[i];
  }

  if (constant) {
    const none = { mean: new Float64Array(grouping.groups), rstd };
    applyGroups(dx, dy, geometry, grouping, none, weight, new Float64Array(c), mask);
    return { dweight, dbias };
  }
  const [rstds, weights] = [new Float64Array(size), new Float64Array(size)];
  const [slope, shift] = [new Float64Array(size), new Float64Array(size)];
  for (let i = 0; i < size; i++) {
    const group = grouping.groupOf(i);
    rstds[i] = rstd[group];
    weights[i] = weight[i % c];
    slope[i] = -(rstd[group] * rstd[group]) * (sumGD[group] / count[group]);
    shift[i] = -(sumG[group] / count[group]);
  }
  applyGradient(dx, dy, x, geometry, { mean: means, rstd: rstds, weight: weights, slope, constant: shift }, mask);
  return { dweight, dbias };
}

/** `applyGroupsGrad` group by group; null where a group is too large for that. */
function tilesGrad(
  dx: Target,
  dy: Operand,
  x: Operand,
  { c, s }: Geometry,
  { groups, block }: Grouping,
  tiles: Tiles,
  { mean, rstd }: Pick<GroupStatistics, "mean" | "rstd">,
  weight: Float64Array,
): ChannelGrads | null {
  const channels = block?.channels ?? 1;
  return withScratch(() => {
    const means = stageValues(mean, "float64");
    const rstds = stageValues(rstd, "float64");
    const weights = stageValues(weight, "float64");
    const [sumG, sumGD] = [scratchF64(groups), scratchF64(groups)];
    const [dweight, dbias] = [scratchF64(c), scratchF64(c)];
    const k = kernelsOf(x.dtype);
    const fits = streamGroups(tiles, [dy, x], [dx], ([g, from, to], first, size, parts, step) => {
      const at = 8 * first;
      k.planeNormalizeGrad(
        to,
        g,
        from,
        dweight,
        dbias,
        sumG + at,
        sumGD + at,
        means + at,
        rstds + at,
        weights,
        size,
        parts,
        channels,
        s,
        step,
        first,
        c / channels,
      );
    });
    return fits ? { dweight: copyF64(dweight, c), dbias: copyF64(dbias, c) } : null;
  });
}
