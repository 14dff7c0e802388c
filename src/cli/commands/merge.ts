/** `evenkeel merge`: models of the parts of a data set into one of the whole. */
import { failAt, UsageError } from "../errors.js";
import { type Model, modelToJSON, readModel } from "../model.js";
import { openOutput } from "../output.js";

export async function runMerge(files: readonly string[], target: string): Promise<void> {
  if (files.length < 2) throw new UsageError("merge needs two models or more");
  const [first, ...others] = files.map(readModel);
  for (const other of others) join(first, other);
  const output = openOutput(target);
  try {
    await output.write(Buffer.from(modelToJSON(first)));
    await output.commit();
  } finally {
    output.discard();
  }
}

/** Adds a model to another, which must have learned the same in the same way. */
function join(first: Model, other: Model): void {
  const place = { file: other.file };
  if (first.method !== other.method) {
    failAt(place, `is a model of the method ${other.method.name} where ${first.file} is one of ${first.method.name}`);
  }
  const [columns, otherColumns] = [first, other].map((model) => JSON.stringify(model.columns));
  if (columns !== otherColumns) {
    failAt(place, `was fitted on columns ${otherColumns} where ${first.file} was fitted on ${columns}`);
  }
  const [config, otherConfig] = [first, other].map(({ scaler }) => JSON.stringify(scaler.toJSON().config));
  if (config !== otherConfig) {
    failAt(place, `has options ${otherConfig} where ${first.file} has ${config}`);
  }
  if (first.scaler.merge === undefined)
    failAt(place, `models of the method ${first.method.name} have nothing to merge`);
  try {
    first.scaler.merge(other.scaler);
  } catch (error) {
    failAt(place, (error as Error).message);
  }
}
