/** `evenkeel fit`: learns a method from a table and writes it as a model. */
import { readBlocks } from "../blocks.js";
import { chooseColumns, type Selection } from "../columns.js";
import { attempt, failAt } from "../errors.js";
import type { Source } from "../formats/format.js";
import { type AnyScaler, type Method, rowsOf, widthAfter } from "../methods.js";
import { modelToJSON, rememberColumns } from "../model.js";
import { openSource, type TextOptions } from "../open.js";
import { openOutput, refuseSameFile } from "../output.js";

export interface FitOptions extends Selection, TextOptions {
  output: string;
}

export async function runFit(method: Method, scaler: AnyScaler, file: string, options: FitOptions): Promise<void> {
  refuseSameFile(options.output, file, "the model would take the place of the data");
  const source = await openSource(file, options);
  try {
    const chosen = chooseColumns(source, options);
    if (scaler.partialFit !== undefined) {
      const { isComplete } = method;
      const dtype = source.dtypeOf(chosen);
      const rows = await readBlocks(source, { chosen, dtype, task: "fit", isComplete }, ({ values }) => {
        scaler.partialFit?.(rowsOf(values, chosen.length));
      });
      if (rows === 0) failAt({ file: source.file }, "has no rows to learn from");
      // What cannot be used shows now, before there is a model of it.
      attempt(source.file, () => widthAfter(scaler, chosen.length), columnNames(source, chosen));
    }
    const output = openOutput(options.output);
    try {
      const columns = rememberColumns(source, chosen);
      await output.write(Buffer.from(modelToJSON({ method, scaler, columns })));
      await output.commit();
    } finally {
      output.discard();
    }
  } finally {
    source.close();
  }
}

/** Scalers count columns from 0, and among the chosen ones only. */
function columnNames({ columns }: Source, chosen: readonly number[]) {
  return (message: string) => message.replace(/\bcolumn (\d+)/, (_, j) => `column ${columns[chosen[Number(j)]].name}`);
}
