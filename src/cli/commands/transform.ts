/** `evenkeel transform` and `evenkeel inverse`: a table through a model. */
import type { DType, TypedArray } from "../../core/memory.js";
import { outputColumns } from "../columns.js";
import { attempt, failAt, UsageError } from "../errors.js";
import type { FormatName, Source } from "../formats/format.js";
import { rowsOf, widthAfter } from "../methods.js";
import { type Model, modelColumns, readModel } from "../model.js";
import { openSink, openSource, outputFormat, type TextOptions } from "../open.js";
import { openOutput, refuseSameFile } from "../output.js";
import { Progress } from "../progress.js";

export interface TransformOptions extends TextOptions {
  output: string;
  columns?: string;
  format?: FormatName;
  dtype?: "f32" | "f64";
  dropRest?: boolean;
}

const DTYPES: Record<string, DType> = { f32: "float32", f64: "float64" };

/** What is done with the values, and which columns go in and come out. */
interface Plan {
  chosen: number[];
  /** Names of the new columns, where they are not those of the old ones. */
  names: string[] | undefined;
  width: number;
  apply(values: TypedArray): TypedArray;
}

const componentNames = (count: number) => Array.from({ length: count }, (_, i) => `component${i + 1}`);

function planTransform(model: Model, source: Source, asked: string | undefined): Plan {
  const { scaler, file, method } = model;
  const chosen = modelColumns(model, scaler.nFeaturesIn, source, asked);
  const features = chosen.length;
  const width = attempt(file, () => widthAfter(scaler, features));
  const names = method.rotates ? componentNames(width) : undefined;
  return { chosen, names, width, apply: (values) => scaler.transform(rowsOf(values, features)).data };
}

function planInverse(model: Model, source: Source, asked: string | undefined): Plan {
  const { scaler, file, method, columns } = model;
  if (scaler.inverseTransform === undefined) {
    failAt({ file }, `the method ${method.name} cannot be undone: what it divided each row by is not kept`);
  }
  const features = scaler.nFeaturesIn;
  if (features === undefined) failAt({ file }, "the model is not fitted");
  const width = attempt(file, () => widthAfter(scaler, features));
  const apply = (values: TypedArray) =>
    (scaler.inverseTransform as typeof scaler.transform)(rowsOf(values, width)).data;
  if (!method.rotates) return { chosen: modelColumns(model, features, source, asked), names: undefined, width, apply };
  // The new columns are found by their names; without names, where the old ones were.
  let remembered = columns;
  if (source.isNamed) remembered = componentNames(width);
  else if (width < features) {
    const first = typeof columns?.[0] === "number" ? Math.min(...(columns as number[])) : 1;
    remembered = Array.from({ length: width }, (_, i) => first + i);
  }
  const names = Array.from({ length: features }, (_, j) => {
    const column = columns?.[j] ?? j + 1;
    return typeof column === "number" ? `column${column}` : column;
  });
  return { chosen: modelColumns({ file, columns: remembered }, width, source, asked), names, width: features, apply };
}

export async function runTransform(
  direction: "transform" | "inverse",
  modelFile: string,
  file: string,
  options: TransformOptions,
): Promise<void> {
  if (modelFile === "-" && file === "-") throw new UsageError("model and data cannot both be standard input");
  refuseSameFile(options.output, modelFile, "the result would take the place of the model");
  const model = readModel(modelFile);
  const source = await openSource(file, options);
  try {
    const plan = (direction === "transform" ? planTransform : planInverse)(model, source, options.columns);
    await pipe(source, plan, direction, options);
  } finally {
    source.close();
  }
}

async function pipe(source: Source, plan: Plan, task: string, options: TransformOptions): Promise<void> {
  const { chosen, names, width } = plan;
  const format = outputFormat(options.format, options.output, source);
  const dtype = options.dtype === undefined ? source.dtypeOf(chosen) : DTYPES[options.dtype];
  const columns = outputColumns(source, chosen, names, options.dropRest ?? false);
  const withRest = columns.some(({ value }) => value === undefined);
  // The header of NPY tells the number of rows.
  const output = openOutput(options.output, format === "npy" && source.rows === undefined);
  const progress = new Progress(source, task);
  try {
    const sink = openSink(format, output, options.output, { columns, dtype, source }, options);
    let rows = 0;
    for await (const batch of source.batches({ chosen, dtype, withRest, verbatim: format === source.format })) {
      await sink.write(batch, plan.apply(batch.values), width);
      rows += batch.rows;
      progress.update(rows);
    }
    await sink.end();
    await output.commit();
  } finally {
    progress.stop();
    output.discard();
  }
}
