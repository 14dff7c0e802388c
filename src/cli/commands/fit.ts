/** `evenkeel fit`: learns a method from a table and writes it as a model. */
import { readBlocks } from "../blocks.js";
import { chooseColumns, type Selection } from "../columns.js";
import { failAt } from "../errors.js";
import { type AnyScaler, type Method, rowsOf } from "../methods.js";
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
      const rows = await readBlocks(source, { chosen, dtype: source.dtypeOf(chosen), task: "fit" }, ({ values }) => {
        scaler.partialFit?.(rowsOf(values, chosen.length));
      });
      if (rows === 0) failAt({ file: source.file }, "has no rows to learn from");
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
