/**
 * Kernels whose work a team shares out. They take the places of those of the module, and no method knows of them.
 *
 * Work is cut where the bits do not depend on it: between rows, which are worked out by themselves; between parts of a
 * matrix product, whose sums go along the depth; and where columns are reduced, at the blocks of the reduction trees,
 * which are merged in their order afterwards.
 */
import type { Kernels } from "../core/kernels.generated.js";
import { heap8, heap64, scratch, scratchF64, withScratch } from "../core/memory.js";
import { type Job, type KernelName, SCRATCH, type Team } from "./team.js";

type Typed = "f32" | "f64";
type BaseName = KernelName extends infer Name ? (Name extends `${infer Base}_f32` ? Base : never) : never;
type Kernel = (...args: number[]) => void;

/**
 * What an argument of a kernel over rows is: the number of rows; their length; data, a row of elements for each row;
 * the same in f64; an f64 value for each row; the number of the first row; or something that all rows share. A row of
 * several runs is as many times as long.
 */
type Role = "rows" | "n" | "runs" | "data" | "wide" | "value" | "first" | "shared";
type RoleOfEach<Args extends readonly unknown[], Of> = { readonly [I in keyof Args]: Of };
type Roles<Name extends BaseName, Of = Role> = RoleOfEach<Parameters<Kernels[`${Name}_f32`]>, Of>;

/** The kernels that work out each row by itself. */
const ROW_KERNELS: { readonly [Name in BaseName]?: Roles<Name> } = {
  rowMoments: ["value", "value", "data", "rows", "n", "shared"],
  rowAffine: ["data", "data", "shared", "shared", "shared", "rows", "n", "first", "shared"],
  rowNormalize: [
    ...(["data", "data", "shared", "shared", "value", "value"] as const),
    ...(["rows", "n", "first", "shared", "shared", "shared"] as const),
  ],
  rowSquares: ["value", "data", "rows", "n", "shared"],
  rowStandardize: [
    ...(["data", "data", "shared", "shared", "value", "value"] as const),
    ...(["rows", "n", "first", "shared"] as const),
  ],
  rowWeightedGradSums: [
    ...(["value", "value", "data", "data", "shared", "value"] as const),
    ...(["rows", "n", "first", "shared"] as const),
  ],
  rowStandardizeGrad: [
    ...(["data", "data", "data", "shared", "value", "value", "value", "value"] as const),
    ...(["rows", "n", "first", "shared", "shared", "shared"] as const),
  ],
  colAffine: ["data", "data", "shared", "shared", "shared", "rows", "n"],
  colGradAffine: ["data", "data", "data", "shared", "shared", "shared", "shared", "shared", "rows", "n"],
  colCenterWide: ["wide", "data", "shared", "rows", "n"],
  planeAffine: ["data", "data", "shared", "shared", "shared", "rows", "n", "first", "shared"],
  planeGradSums: ["value", "value", "data", "data", "shared", "rows", "n", "first", "shared"],
  planeRunMoments: ["value", "value", "data", "rows", "n", "shared"],
  planeMoments: ["value", "value", "data", "rows", "shared", "n", "shared", "shared"],
  planeGroupGradSums: [
    ...(["value", "value", "data", "data", "value", "rows", "shared", "n", "shared", "shared"] as const),
  ],
  planeGradAffine: [
    ...(["data", "data", "data", "shared", "shared", "shared", "shared", "shared"] as const),
    ...(["rows", "n", "first", "shared"] as const),
  ],
  planeNormalize: [
    ...(["data", "data", "value", "value", "value", "shared", "shared"] as const),
    ...(["rows", "shared", "runs", "n", "shared", "first", "shared", "shared"] as const),
  ],
};

/**
 * The kernels that, of each block of rows, add one value for each column to sums in f64: as many times the columns as the
 * `period` in which rows take turns, over blocks that are as many times as high.
 */
const SUMMING_KERNELS: { readonly [Name in BaseName]?: Roles<Name, Role | "sum" | "period" | "scratch"> } = {
  colGradSums: ["sum", "sum", "data", "data", "shared", "rows", "n", "scratch"],
  rowNormalizeGrad: [
    ...(["data", "sum", "sum", "data", "data", "shared", "value", "value"] as const),
    ...(["rows", "n", "period", "shared", "scratch"] as const),
  ],
};

/** Multiplications with addition of a matrix product that take as long as reading or writing an element. */
const PRODUCTS_PER_ELEMENT = 8;

/** Parts for each thread, so that one that comes late holds up the others little. */
const PARTS_PER_THREAD = 4;

/** Rows that parts of a product should have at least: each packs the panels of B for itself. */
const PRODUCT_ROWS = 256;

/** Columns of a product whose panels of B are packed together: to cut there costs nothing. */
const PRODUCT_COLS = 512;

/** More columns than any kernel folds. */
const COLS_NEVER_FOLDED = 2 ** 20;

/** Rows of the lower triangle of a product with itself that are worked out at a time. */
const GRAM_ROWS = 64;

/** The kernels of the module, with those of this file in their places; work on fewer than `least` elements stays whole. */
export function splitKernels(module: Kernels, team: Team, least: number): Kernels {
  const split: Partial<Record<KernelName, Kernel>> = {};
  for (const type of ["f32", "f64"] as const) {
    const width = type === "f64" ? 8 : 4;
    for (const [base, roles] of Object.entries(ROW_KERNELS)) {
      const name = `${base}_${type}` as KernelName;
      split[name] = rowKernel(module, team, least, name, roles, width);
    }
    for (const name of [`colMoments_${type}`, `colMomentsWide_${type}`] as const) {
      split[name] = colMoments(module, team, least, name, width);
    }
    for (const [base, roles] of Object.entries(SUMMING_KERNELS)) {
      const name = `${base}_${type}` as KernelName;
      split[name] = summingKernel(module, team, least, name, roles, width);
    }
    split[`planeNormalizeGrad_${type}`] = planeNormalizeGrad(module, team, least, type, width);
    const add = multiplyAdd(module, team, least, type, width);
    split[`multiplyAdd_${type}`] = add;
    split[`matmul_${type}`] = matmul(add, width);
  }
  split.addGram_f64 = addGram(module, team, least);
  split.applyReflections_f64 = applyReflections(module, team, least);
  return { ...module, ...split } as Kernels;
}

/** [first, size] of parts of `count` things, a few for each thread. */
function partsOf(count: number, { threads }: Team): Array<readonly [number, number]> {
  const size = Math.ceil(count / (threads * PARTS_PER_THREAD));
  return Array.from({ length: Math.ceil(count / size) }, (_, i) => [i * size, Math.min(size, count - i * size)]);
}

function rowKernel(
  module: Kernels,
  team: Team,
  least: number,
  name: KernelName,
  roles: readonly Role[],
  width: number,
): Kernel {
  const whole = module[name] as Kernel;
  const atRows = roles.indexOf("rows");
  const atN = roles.indexOf("n");
  const atRuns = roles.indexOf("runs");
  return (...args) => {
    const rows = args[atRows];
    const n = args[atN] * (atRuns < 0 ? 1 : args[atRuns]);
    if (rows * n < least) return whole(...args);
    const steps = { data: n * width, wide: n * 8, value: 8, first: 1, rows: 0, n: 0, runs: 0, shared: 0 };
    // A pointer of 0 says that the argument is absent.
    const step = (role: Role, arg: number) => (arg === 0 && role !== "first" ? 0 : steps[role]);
    team.run(
      partsOf(rows, team).map(([first, size]) => {
        const moved = args.map((arg, i) => (i === atRows ? size : arg + first * step(roles[i], arg)));
        return { name, args: moved };
      }),
    );
  };
}

/**
 * Rows of a block of columns, whose sums are merged with those of the others in one step. Narrow matrices are folded, and
 * their blocks merged in several steps, which cannot be shared out: to them there is but one block.
 */
function blockRows(module: Kernels, cols: number): number {
  const height = module.colBlockRows(cols);
  return height === module.colBlockRows(COLS_NEVER_FOLDED) ? height : Number.POSITIVE_INFINITY;
}

/** Moments of columns: each block of rows by itself; then the blocks are merged in their order, for parts of the columns. */
function colMoments(
  module: Kernels,
  team: Team,
  least: number,
  name: `colMoments_${Typed}` | `colMomentsWide_${Typed}`,
  width: number,
): Kernel {
  return (mean, m2, x, rows, cols, seen, workspace) => {
    const height = blockRows(module, cols);
    if (rows * cols < least || rows <= height) return module[name](mean, m2, x, rows, cols, seen, workspace);
    withScratch(() => {
      const whole = Math.floor(rows / height);
      const rest = rows % height;
      const bytes = 8 * cols;
      const blockBytes = height * cols * width;
      const means = scratch((whole + 1) * bytes);
      const m2s = scratch((whole + 1) * bytes);
      const measure = (first: number, times: number, count: number): Job => ({
        name,
        args: [means + first * bytes, m2s + first * bytes, x + first * blockBytes, count, cols, 0, SCRATCH],
        steps: [bytes, bytes, blockBytes],
        times,
      });
      const jobs = partsOf(whole, team).map(([first, times]) => measure(first, times, height));
      team.run(rest > 0 ? [...jobs, measure(whole, 1, rest)] : jobs);

      const counts = filled(cols, seen);
      const heights = filled(cols, height);
      team.run(
        partsOf(cols, team).map(([first, size]) => ({
          name: "mergeMoments",
          args: [...[counts, mean, m2, heights, means, m2s].map((at) => at + 8 * first), size],
          steps: [0, 0, 0, 0, bytes, bytes],
          times: whole,
        })),
      );
      const last = whole * bytes;
      if (rest > 0) module.mergeMoments(counts, mean, m2, filled(cols, rest), means + last, m2s + last, cols);
    });
  };
}

/** Sums for each column: those of each block by themselves; then they are added up in the order of the blocks. */
function summingKernel(
  module: Kernels,
  team: Team,
  least: number,
  name: KernelName,
  roles: readonly string[],
  width: number,
): Kernel {
  const whole = module[name] as Kernel;
  const [atRows, atN, atPeriod] = ["rows", "n", "period"].map((role) => roles.indexOf(role));
  const sums = roles.flatMap((role, i) => (role === "sum" ? [i] : []));
  return (...args) => {
    const [rows, n, period = 1] = [args[atRows], args[atN], args[atPeriod]];
    const height = blockRows(module, n) * period;
    if (rows * n < least || rows <= height) return whole(...args);
    withScratch(() => {
      const blocks = Math.ceil(rows / height);
      const full = Math.floor(rows / height);
      const count = n * period;
      const parts = args.map((arg, i) => (sums.includes(i) ? scratchF64(blocks * count) : arg));
      const steps: Record<string, number> = { data: height * n * width, value: 8 * height, sum: 8 * count };
      // A pointer of 0 says that the argument is absent.
      const stepOf = roles.map((role, i) => (parts[i] === 0 ? 0 : (steps[role] ?? 0)));
      const measure = (first: number, times: number, size: number): Job => {
        const moved = parts.map((arg, i) => arg + first * stepOf[i]);
        moved[atRows] = size;
        moved[roles.indexOf("scratch")] = SCRATCH;
        return { name, args: moved, steps: stepOf, times };
      };
      const jobs = partsOf(full, team).map(([first, times]) => measure(first, times, height));
      team.run(full < blocks ? [...jobs, measure(full, 1, rows - full * height)] : jobs);

      const zeros = scratchF64(count);
      const ones = filled(count, 1);
      team.run(
        partsOf(count, team).flatMap(([first, size]) =>
          sums.map((i) => {
            const [to, from, zero, one] = [args[i], parts[i], zeros, ones].map((at) => at + 8 * first);
            const added = [to, from, zero, one, to, 1, size];
            return { name: "colAffine_f64", args: added, steps: [0, 8 * count], times: blocks } as const;
          }),
        ),
      );
    });
  };
}

/** Groups in turns of `period`: a job has those that share sums in all of the turns, in order. */
function planeNormalizeGrad(module: Kernels, team: Team, least: number, type: Typed, width: number): Kernel {
  const name = `planeNormalizeGrad_${type}` as const;
  return (...args) => {
    const [dx, dy, x, dweight, dbias, sumG, sumGD, mean, rstd, weight, ...counts] = args;
    const [groups, parts, runs, n, step, begin, period] = counts;
    const length = runs * n * width;
    const turn = Math.min(groups, period);
    if (parts * groups * runs * n < least || groups % turn !== 0) {
      return (module[name] as Kernel)(...args);
    }
    const [data, value] = [turn * length, 8 * turn];
    team.run(
      partsOf(turn, team).map(([first, size]) => {
        const planes = [dx, dy, x].map((at) => at + first * length);
        const values = [sumG, sumGD, mean, rstd].map((at) => at + 8 * first);
        const rest = [weight, size, parts, runs, n, step, begin + first, period];
        const steps = [data, data, data, 0, 0, value, value, value, value];
        return { name, args: [...planes, dweight, dbias, ...values, ...rest], steps, times: groups / turn };
      }),
    );
  };
}

/** n f64 values in scratch, all the same. */
function filled(n: number, value: number): number {
  const at = scratchF64(n);
  heap64().fill(value, at / 8, at / 8 + n);
  return at;
}

/** Parts of C, cut along its rows and columns. */
function multiplyAdd(module: Kernels, team: Team, least: number, type: Typed, width: number): Kernel {
  const name = `multiplyAdd_${type}` as const;
  return (c, a, b, m, n, k, stride, deepA, wideA, deepB, wideB, workspace) => {
    if (m * n * k < least * PRODUCTS_PER_ELEMENT) {
      return module[name](c, a, b, m, n, k, stride, deepA, wideA, deepB, wideB, workspace);
    }
    const cols = Math.ceil(n / PRODUCT_COLS);
    const share = Math.ceil((m * cols) / (team.threads * PARTS_PER_THREAD));
    const height = Math.min(Math.max(share, PRODUCT_ROWS), Math.ceil(m / team.threads));
    const jobs: Job[] = [];
    for (let i = 0; i < m; i += height) {
      for (let j = 0; j < n; j += PRODUCT_COLS) {
        const [toC, toA, toB] = [i * stride + j, i * wideA, j * wideB].map((elements) => elements * width);
        const [rows, columns] = [Math.min(height, m - i), Math.min(PRODUCT_COLS, n - j)];
        const args = [c + toC, a + toA, b + toB, rows, columns, k, stride, deepA, wideA, deepB, wideB, SCRATCH];
        jobs.push({ name, args });
      }
    }
    team.run(jobs);
  };
}

function matmul(add: Kernel, width: number): Kernel {
  return (c, a, b, m, n, k, transposeA, transposeB, workspace) => {
    heap8().fill(0, c, c + m * n * width);
    const [deepA, wideA] = transposeA ? [m, 1] : [1, k];
    const [deepB, wideB] = transposeB ? [1, k] : [n, 1];
    add(c, a, b, m, n, k, n, deepA, wideA, deepB, wideB, workspace);
  };
}

/** The lower triangle by rows, the longest first. */
function addGram(module: Kernels, team: Team, least: number): Kernel {
  return (c, x, rows, cols, stride, deep, wide, workspace) => {
    if ((rows * cols * cols) / 2 < least * PRODUCTS_PER_ELEMENT) {
      return module.addGram_f64(c, x, rows, cols, stride, deep, wide, workspace);
    }
    const jobs: Job[] = [];
    for (let i = Math.floor((cols - 1) / GRAM_ROWS) * GRAM_ROWS; i >= 0; i -= GRAM_ROWS) {
      const height = Math.min(GRAM_ROWS, cols - i);
      const args = [c + 8 * i * stride, x + 8 * i * wide, x, height, i + height, rows, stride, deep, wide, deep, wide];
      jobs.push({ name: "multiplyAdd_f64", args: [...args, SCRATCH] });
    }
    team.run(jobs);
  };
}

/** Reflections of rows: a part of them for each thread, no more, since each part makes the blocks of reflections anew. */
function applyReflections(module: Kernels, team: Team, least: number): Kernel {
  return (z, a, tau, rows, first, count, stride, work, product) => {
    if (rows * count * stride < least * PRODUCTS_PER_ELEMENT) {
      return module.applyReflections_f64(z, a, tau, rows, first, count, stride, work, product);
    }
    withScratch(() => {
      const height = Math.ceil(rows / team.threads);
      const jobs: Job[] = [];
      for (let i = 0; i < rows; i += height) {
        const size = Math.min(height, rows - i);
        const own = scratch(module.applyReflectionsScratchBytes(size, stride));
        const args = [z + 8 * i * stride, a, tau, size, first, count, stride, own, SCRATCH];
        jobs.push({ name: "applyReflections_f64", args });
      }
      team.run(jobs);
    });
  };
}
