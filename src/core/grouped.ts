/**
 * Normalization over groups of cells, forward and backward: batch, group and instance norm differ in `groupOf` alone.
 *
 *     mean, var = moments of the group;  rstd = 1/√(var + eps);  y = (x − mean)·rstd·weight[c] + bias[c]
 *     dx = rstd·(g − Σg/N − (x − mean)·rstd²·Σg(x − mean)/N), g = dy·weight[c], sums over the group of N values
 *     dweight[c] = Σ dy·(x − mean)·rstd,  dbias[c] = Σ dy
 */
import {
  type AddressesOf,
  cellMoments,
  type GradSums,
  gradientCells,
  type Mask,
  measureCells,
  sumCells,
  transformCells,
} from "./cells.js";
import type { Geometry } from "./geometry.js";
import { clearF64, fillShort, heap64, passingCopyF64, passingF64, scratch, scratchF64, withScratch } from "./memory.js";
import { type Moments, mergeCells } from "./moments.js";
import { COLUMNS, kernels, kernelsOf, PLANES } from "./parts.js";
import { stageValues, stream, streamGroups, type Tiles } from "./stream.js";
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
export function nextOf(channel: number, channels: number): number {
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
  return groupMoments(x, geometry, byChannel(geometry), mask);
}

/** Moments of each group. */
export function groupMoments(x: Operand, geometry: Geometry, grouping: Grouping, mask?: Mask): Moments {
  const { groups } = grouping;
  return withScratch(() => {
    const [mean, m2] = [scratch(8 * groups), scratch(8 * groups)];
    const count = measureGroups(mean, m2, x, geometry, grouping, mask);
    return { count, mean: passingCopyF64(mean, groups), m2: passingCopyF64(m2, groups) };
  });
}

/** Σ over the cells of each channel. */
export function sumChannels(cells: Float64Array, channels: number): Float64Array {
  const sums = passingF64(channels);
  for (let i = 0, channel = 0; i < cells.length; i++, channel = nextOf(channel, channels)) sums[channel] += cells[i];
  return sums;
}

/** mean and rstd of each group, N values in each; as they are found, for the length of a call. */
export interface GroupStatistics {
  mean: Float64Array;
  rstd: Float64Array;
  count: Float64Array;
}

/** What normalizing by groups found: their moments, and 1/√(M2/count + eps). */
export interface GroupMoments extends Moments {
  rstd: Float64Array;
}

/** Whether each cell is a group of its own, so that vectors of cells and of groups are the same. */
function isCellEach({ n }: Geometry, { perChannel }: Grouping): boolean {
  return perChannel && n === 1;
}

/** Writes mean and M2 of each channel over the batch; returns the counts. */
export function measureChannels(mean: number, m2: number, x: Operand, geometry: Geometry): Float64Array {
  return measureGroups(mean, m2, x, geometry, byChannel(geometry));
}

/** Writes mean and M2 of each group; returns the counts. */
function measureGroups(
  mean: number,
  m2: number,
  x: Operand,
  geometry: Geometry,
  grouping: Grouping,
  mask?: Mask,
): Float64Array {
  const { n, s, order } = geometry;
  const { groups, groupOf, block } = grouping;
  if (isCellEach(geometry, grouping)) return measureCells(mean, m2, x, geometry, mask);
  // Neighbouring channels of one sample are one run.
  if (order === "rows" && block?.samples === 1 && mask === undefined) {
    return measureCells(mean, m2, x, { n, c: groups / n, s: block.channels * s, order });
  }
  // Of several channels, cells are merged one by one: a part as a run of its own would have other bits.
  const tiles = block?.channels === 1 ? tilesOf(geometry, grouping, mask) : null;
  if (tiles && measureTiles(mean, m2, x, tiles)) return countsOf(tiles);
  const merged = mergeCells(cellMoments(x, geometry, mask), groups, groupOf);
  heap64().set(merged.mean, mean / 8);
  heap64().set(merged.m2, m2 / 8);
  return merged.count;
}

/** Writes mean and M2 of groups that lie in runs; false where these are long, and a group is too large to be staged. */
function measureTiles(mean: number, m2: number, x: Operand, tiles: Tiles): boolean {
  const { bands, groups, parts, lastParts, length } = tiles;
  const k = kernelsOf(PLANES, x.dtype);
  const fits = streamGroups(tiles, [x], [], ([from], first, size, present, step) =>
    k.planeMoments(mean + 8 * first, m2 + 8 * first, from, size, present, length, step, 0),
  );
  const rowMultiple = k.planeBlockParts(length);
  if (fits || rowMultiple === 1) return fits;
  const n = groups * length;
  for (let band = 0; band < bands; band++) {
    const at = 8 * band * groups;
    const firstRow = band * parts;
    const present = band < bands - 1 ? parts : lastParts;
    stream({ rows: present, n, firstRow, rowMultiple }, [x], [], ([from], { row, rows }) =>
      k.planeMoments(mean + at, m2 + at, from, groups, rows, length, n, row - firstRow),
    );
  }
  return true;
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

const NONE = new Float64Array(0);

/** Values in each group. */
function countsOf({ bands, groups, parts, lastParts, length }: Tiles): Float64Array {
  const counts = passingF64(bands * groups);
  const full = (bands - 1) * groups;
  fillShort(counts, parts * length, 0, full);
  fillShort(counts, lastParts * length, full, groups);
  return counts;
}

/**
 * Writes y = (x − mean)·rstd·weight + bias with the statistics of each group, and returns them; none without `saves`, for
 * calls that want y alone: to copy the statistics of few values takes longer than the rest.
 */
export function normalizeGroups(
  y: Target,
  x: Operand,
  geometry: Geometry,
  grouping: Grouping,
  weight: Float64Array,
  bias: Float64Array,
  eps: number,
  saves: boolean,
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
    const k = kernelsOf(PLANES, x.dtype);
    const fits =
      tiles !== null &&
      streamGroups(tiles, [x], [y], ([from, to], first, size, parts, step) => {
        const at = 8 * first;
        const [a, b, r] = [mean + at, m2 + at, rstd + at];
        const { s } = geometry;
        k.planeNormalize(to, from, a, b, r, weights, biases, size, parts, channels, s, step, first, period, eps);
      });
    let count: Float64Array = NONE;
    if (!fits) {
      count = measureGroups(mean, m2, x, geometry, grouping, mask);
      kernels(COLUMNS).eachRstd_f64(rstd, m2, stageValues(count, "float64"), groups, eps);
      transformGroups(y, x, geometry, grouping, { mean, rstd, weight: weights, bias: biases }, mask);
    }
    if (!saves) return { count: NONE, mean: NONE, m2: NONE, rstd: NONE };
    if (fits) count = countsOf(tiles);
    const means = passingCopyF64(mean, groups);
    return { count, mean: means, m2: passingCopyF64(m2, groups), rstd: passingCopyF64(rstd, groups) };
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
  withScratch(() => {
    const vectors = {
      mean: stageValues(mean, "float64"),
      rstd: stageValues(rstd, "float64"),
      weight: stageValues(weight, "float64"),
      bias: stageValues(bias, "float64"),
    };
    transformGroups(y, x, geometry, grouping, vectors, mask);
  });
}

interface GroupAffine {
  /** One a group. */
  mean: Float64Array;
  rstd: Float64Array;
  /** One a channel. */
  weight: Float64Array;
  bias: Float64Array;
}

/** `applyGroups` with vectors in linear memory. */
function transformGroups(
  y: Target,
  x: Operand,
  geometry: Geometry,
  { perChannel, groupOf }: Grouping,
  { mean, rstd, weight, bias }: AddressesOf<GroupAffine>,
  mask?: Mask,
): void {
  const { n, c } = geometry;
  if (perChannel) {
    const scale = scratch(8 * c);
    kernels(COLUMNS).eachProduct_f64(scale, rstd, weight, c);
    transformCells(y, x, geometry, { mean, scale, shift: bias }, c, mask);
    return;
  }
  const cells = n * c;
  const affine = { mean: scratch(8 * cells), scale: scratch(8 * cells), shift: scratch(8 * cells) };
  const heap = heap64();
  for (let i = 0, channel = 0; i < cells; i++, channel = nextOf(channel, c)) {
    const group = groupOf(i);
    heap[affine.mean / 8 + i] = heap[mean / 8 + group];
    heap[affine.scale / 8 + i] = heap[rstd / 8 + group] * heap[weight / 8 + channel];
    heap[affine.shift / 8 + i] = heap[bias / 8 + channel];
  }
  transformCells(y, x, geometry, affine, cells, mask);
}

/** For the length of a call. */
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
  const { groups, groupOf, perChannel } = grouping;
  const cells = n * c;
  const size = perChannel ? c : cells;
  return withScratch(() => {
    const ofGroup = { mean: stageValues(mean, "float64"), rstd: stageValues(rstd, "float64") };
    const ofChannel = { weight: stageValues(weight, "float64"), bias: scratchF64(c) };
    const means = perChannel ? ofGroup.mean : scratch(8 * size);
    if (!perChannel) {
      const heap = heap64();
      for (let i = 0; i < cells; i++) heap[means / 8 + i] = mean[groupOf(i)];
    }
    const ofGroups = tiles !== null && grouping.block?.channels === 1 && sumTiles(tiles, dy, x, ofGroup.mean);
    const sums = ofGroups || { dy: scratch(8 * cells), dyx: scratch(8 * cells) };
    if (!ofGroups) sumCells(sums, dy, x, geometry, means, size, mask);

    const [dweight, dbias] = [scratch(8 * c), scratch(8 * c)];
    const [slope, shift] = [scratch(8 * size), scratch(8 * size)];
    let [rstds, weights] = [ofGroup.rstd, ofChannel.weight];
    if (isCellEach(geometry, grouping) || (ofGroups && perChannel)) {
      const k = kernels(COLUMNS);
      k.eachProduct_f64(dweight, sums.dyx, rstds, c);
      heap64().copyWithin(dbias / 8, sums.dy / 8, sums.dy / 8 + c);
      const counts = stageValues(count, "float64");
      k.eachGradientOf_f64(slope, shift, rstds, weights, sums.dy, sums.dyx, counts, c);
    } else {
      const [sumG, sumGD] = [scratchF64(groups), scratchF64(groups)];
      clearF64(dweight, c);
      clearF64(dbias, c);
      rstds = scratch(8 * size);
      weights = scratch(8 * size);
      const heap = heap64();
      const at = (address: number, i: number) => address / 8 + i;
      // Groups of one channel follow the channels, as cells do.
      for (let i = 0, channel = 0; i < (ofGroups ? groups : cells); i++, channel = nextOf(channel, c)) {
        const group = ofGroups ? i : perChannel ? channel : groupOf(i);
        const [sum, sumD] = [heap[at(sums.dy, i)], heap[at(sums.dyx, i)]];
        heap[at(sumG, group)] += weight[channel] * sum;
        heap[at(sumGD, group)] += weight[channel] * sumD;
        heap[at(dweight, channel)] += sumD * rstd[group];
        heap[at(dbias, channel)] += sum;
      }
      for (let i = 0, channel = 0; i < size; i++, channel = nextOf(channel, c)) {
        const group = groupOf(i);
        heap[at(rstds, i)] = rstd[group];
        heap[at(weights, i)] = weight[channel];
        heap[at(slope, i)] = -(rstd[group] * rstd[group]) * (heap[at(sumGD, group)] / count[group]);
        heap[at(shift, i)] = -(heap[at(sumG, group)] / count[group]);
      }
    }
    const grads = { dweight: passingCopyF64(dweight, c), dbias: passingCopyF64(dbias, c) };
    if (constant)
      transformGroups(dx, dy, geometry, grouping, { ...ofGroup, ...ofChannel, mean: scratchF64(groups) }, mask);
    else {
      const affine = { mean: means, rstd: rstds, weight: weights, slope, constant: shift };
      gradientCells(dx, dy, x, geometry, affine, size, mask);
    }
    return grads;
  });
}

/**
 * Σdy and Σdy·(x − mean) of groups of short runs, which are summed several at a time; null where runs are long. `mean` lies
 * in linear memory, as the sums do.
 */
function sumTiles(
  { bands, groups, parts, lastParts, length }: Tiles,
  dy: Operand,
  x: Operand,
  mean: number,
): AddressesOf<GradSums> | null {
  const onPlanes = kernelsOf(PLANES, x.dtype);
  const onColumns = kernelsOf(COLUMNS, x.dtype);
  const rowMultiple = onPlanes.planeBlockParts(length);
  if (rowMultiple === 1 || parts === 1) return null;
  const n = groups * length;
  const all = bands * groups;
  const sums = { dy: scratchF64(all), dyx: scratchF64(all) };
  for (let band = 0; band < bands; band++) {
    const at = 8 * band * groups;
    const firstRow = band * parts;
    const rows = band < bands - 1 ? parts : lastParts;
    stream({ rows, n, firstRow, rowMultiple }, [dy, x], [], ([g, from], { row, rows: part }) =>
      onPlanes.planeGroupGradSums(
        sums.dy + at,
        sums.dyx + at,
        g,
        from,
        mean + at,
        groups,
        part,
        length,
        n,
        row - firstRow,
      ),
    );
  }
  // The kernel's sums are about the rounded mean.
  onColumns.eachAboutMean(sums.dyx, sums.dy, mean, all);
  return sums;
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
    const k = kernelsOf(PLANES, x.dtype);
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
    return fits ? { dweight: passingCopyF64(dweight, c), dbias: passingCopyF64(dbias, c) } : null;
  });
}
