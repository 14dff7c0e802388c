/** The methods that `fit` knows: one entry makes a method known to every command. */
import type { TypedArray } from "../core/memory.js";
import type { Tensor } from "../core/tensor.js";
import { Centering } from "../preprocessing/centering.js";
import { MaxAbsScaler } from "../preprocessing/max-abs-scaler.js";
import { MinMaxScaler } from "../preprocessing/min-max-scaler.js";
import { Normalizer } from "../preprocessing/normalizer.js";
import { RobustScaler } from "../preprocessing/robust-scaler.js";
import type { SavedScaler } from "../preprocessing/scaler.js";
import { StandardScaler } from "../preprocessing/standard-scaler.js";
import { Decorrelation, Whitening, type WhiteningMethod } from "../preprocessing/whitening.js";
import { UsageError } from "./errors.js";

export interface Rows {
  data: TypedArray;
  shape: number[];
}

/** What the commands need of a scaler. One without `partialFit` has nothing to learn. */
export interface AnyScaler {
  readonly nFeaturesIn?: number;
  partialFit?(rows: Rows): unknown;
  merge?(other: this): unknown;
  transform(rows: Rows): Tensor;
  inverseTransform?(rows: Rows): Tensor;
  toJSON(): SavedScaler;
}

/** Numbers by their names, one for each column. */
export type Description = Record<string, ArrayLike<number>>;

export interface MethodOption {
  /** As the user types it, such as `--ddof <n>`. */
  flags: string;
  description: string;
  parse?(text: string): unknown;
}

export interface Method {
  name: string;
  /** Whether what a scaler saved is of this method. */
  isOf(saved: SavedScaler): boolean;
  /** What it does, as after "to". */
  summary: string;
  options: readonly MethodOption[];
  /** `options`: by their names in camel case. */
  create(options: Record<string, unknown>): AnyScaler;
  load(saved: unknown): AnyScaler;
  /** The results are new columns, none of which stands for one of the old. */
  rotates: boolean;
  /** It learns from whole rows alone: a missing value is an error. */
  isComplete: boolean;
  /** What `inspect` shows of each column. */
  describe(scaler: AnyScaler): Description;
  /** What `inspect` shows of each new column. */
  describeComponents?(scaler: AnyScaler): Description;
}

interface Entry<S extends AnyScaler> extends Partial<Pick<Method, "options" | "isOf" | "rotates" | "isComplete">> {
  name: string;
  summary: string;
  create(options: Record<string, unknown>): S;
  load(saved: unknown): S;
  describe(scaler: S): Description;
  describeComponents?(scaler: S): Description;
}

/** Types an entry by its class, and forgets the class: the table holds them all. */
function method<S extends AnyScaler>(entry: Entry<S>): Method {
  const { kind } = entry.create({}).toJSON();
  const common = { options: [], rotates: false, isComplete: false, isOf: (saved: SavedScaler) => saved.kind === kind };
  return { ...common, ...(entry as unknown as Entry<AnyScaler>) };
}

/** The share of each eigenvalue in their sum. */
function describeEigenvalues({ eigenvalues }: { eigenvalues: Float64Array }): Description {
  const sum = eigenvalues.reduce((a, b) => a + b, 0);
  return { eigenvalue: eigenvalues, "share of variance": eigenvalues.map((value) => value / sum) };
}

function describeCovariance({ mean, covariance }: Whitening | Decorrelation): Description {
  return { mean, std: mean.map((_, j) => Math.sqrt(covariance.data[j * (mean.length + 1)])) };
}

function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new UsageError("It must be a number.");
  return value;
}

function pair(text: string): [number, number] {
  const parts = text.split(",");
  if (parts.length !== 2) throw new UsageError("It must be two numbers with a comma between.");
  return [number(parts[0]), number(parts[1])];
}

const ddof: MethodOption = {
  flags: "--ddof <n>",
  description: "divide by count - n in the variance: 0 as scikit-learn, 1 as pandas and R (default: 0)",
  parse: number,
};

const eps: MethodOption = {
  flags: "--eps <value>",
  description: "added to the eigenvalues, so that directions with little variance are not blown up (default: 0)",
  parse: number,
};

const components: MethodOption = {
  flags: "--components <n>",
  description: "how many of the leading directions to keep (default: all)",
  parse: number,
};

function whitening(name: WhiteningMethod, summary: string): Method {
  const rotates = name.startsWith("pca");
  return method<Whitening>({
    name,
    summary,
    options: rotates ? [components, eps, ddof] : [eps, ddof],
    rotates,
    isComplete: true,
    isOf: ({ kind, config }) => kind === "Whitening" && config.method === name,
    create: ({ components: nComponents, ...config }) =>
      new Whitening({ ...config, method: name, nComponents: nComponents as number | undefined }),
    load: Whitening.fromJSON,
    describe: describeCovariance,
    // The triangle of Cholesky belongs to no directions.
    describeComponents: name === "cholesky" ? undefined : describeEigenvalues,
  });
}

export const methods: readonly Method[] = [
  method({
    name: "standard",
    summary: "bring each column to mean 0 and standard deviation 1 (z-scores)",
    options: [
      ddof,
      { flags: "--no-mean", description: "do not subtract the mean" },
      { flags: "--no-std", description: "do not divide by the standard deviation" },
    ],
    create: ({ mean, std, ...config }) =>
      new StandardScaler({ ...config, withMean: mean as boolean, withStd: std as boolean }),
    load: StandardScaler.fromJSON,
    describe: ({ mean, variance, scale }) => ({ mean, std: variance.map(Math.sqrt), scale }),
  }),
  method({
    name: "min-max",
    summary: "bring each column into the range from 0 to 1, or another",
    options: [
      {
        flags: "--feature-range <low,high>",
        description: "what the least and greatest value become (default: 0,1)",
        parse: pair,
      },
      { flags: "--clip", description: "bring values beyond those fitted to the ends of the range" },
    ],
    create: (config) => new MinMaxScaler(config),
    load: MinMaxScaler.fromJSON,
    describe: ({ dataMin, dataMax, dataRange }) => ({ min: dataMin, max: dataMax, range: dataRange }),
  }),
  method({
    name: "max-abs",
    summary: "divide each column by its greatest magnitude: into -1 to 1, zeros stay",
    create: () => new MaxAbsScaler(),
    load: MaxAbsScaler.fromJSON,
    describe: ({ maxAbs, scale }) => ({ "max |x|": maxAbs, scale }),
  }),
  method({
    name: "robust",
    summary: "bring each column to median 0 and interquartile range 1, on which outliers have no hold",
    options: [
      {
        flags: "--quantile-range <low,high>",
        description: "percentages between which the scale is taken (default: 25,75)",
        parse: pair,
      },
      { flags: "--no-centering", description: "do not subtract the median" },
      { flags: "--no-scaling", description: "do not divide by the range" },
      { flags: "--unit-variance", description: "scale so that normally distributed columns get variance 1" },
    ],
    create: ({ centering, scaling, ...config }) =>
      new RobustScaler({ ...config, withCentering: centering as boolean, withScaling: scaling as boolean }),
    load: RobustScaler.fromJSON,
    describe: ({ center, scale }) => ({ median: center, scale }),
  }),
  method({
    name: "centering",
    summary: "bring each column to mean 0; the spread stays",
    create: () => new Centering(),
    load: Centering.fromJSON,
    describe: ({ mean }) => ({ mean }),
  }),
  method({
    name: "normalizer",
    summary: "bring each row to length 1; nothing is learned, and nothing can be undone",
    options: [{ flags: "--norm <l1|l2|max>", description: "how length is measured (default: l2)" }],
    create: (config) => new Normalizer(config),
    load: Normalizer.fromJSON,
    describe: () => ({}),
  }),
  method<Decorrelation>({
    name: "decorrelation",
    summary: "turn rows to their principal directions: uncorrelated columns, that of most variance first",
    options: [ddof],
    rotates: true,
    isComplete: true,
    create: (config) => new Decorrelation(config),
    load: Decorrelation.fromJSON,
    describe: describeCovariance,
    describeComponents: describeEigenvalues,
  }),
  whitening("pca", "whiten: uncorrelated columns of variance 1, principal directions, that of most variance first"),
  whitening("zca", "whiten: uncorrelated columns of variance 1, as near to the data as can be (sphering)"),
  whitening("pca-cor", "whiten as pca, whatever the units of the columns"),
  whitening("zca-cor", "whiten as zca, whatever the units of the columns"),
  whitening("cholesky", "whiten: each column freed of those after it; the last is only scaled"),
];

/** The method of what a scaler saved. */
export function methodOf(saved: SavedScaler | undefined): Method | undefined {
  return saved && methods.find(({ isOf }) => isOf(saved));
}

/** The rows of a batch as scalers take them. */
export function rowsOf(data: TypedArray, width: number): Rows {
  return { data, shape: [data.length / width, width] };
}

/** How many columns a scaler makes of `features`. */
export function widthAfter(scaler: AnyScaler, features: number): number {
  return scaler.transform(rowsOf(new Float64Array(features), features)).shape[1];
}
