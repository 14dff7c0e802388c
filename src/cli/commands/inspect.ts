/** `evenkeel inspect`: what is in a model, or in a table. */
import Table from "cli-table3";
import { readBlocks } from "../blocks.js";
import { chooseColumns, type Selection } from "../columns.js";
import { attempt, quote } from "../errors.js";
import type { Source } from "../formats/format.js";
import { firstText } from "../input.js";
import type { Description } from "../methods.js";
import { type Model, readModel } from "../model.js";
import { openSource, type TextOptions } from "../open.js";
import { type ColumnStatistics, Statistics } from "../statistics.js";

export interface InspectOptions extends Selection, TextOptions {}

/** The text to print. */
export async function runInspect(file: string, options: InspectOptions): Promise<string> {
  if (isModel(file)) return showModel(readModel(file));
  const source = await openSource(file, options);
  try {
    return await showTable(source, options);
  } finally {
    source.close();
  }
}

/** Models begin as JSON does. What comes through a pipe is taken for a table: it can be read but once. */
function isModel(file: string): boolean {
  return /^\s*\{/.test(firstText(file));
}

/** A number with as many digits as a reader takes in. */
function short(value: number | undefined): string {
  if (value === undefined) return "";
  return Number.isNaN(value) ? "-" : String(+value.toPrecision(5));
}

const whole = (value: number) => value.toLocaleString("en");

const BLOCKS = "▁▂▃▄▅▆▇█";

function drawHistogram(bars: readonly number[]): string {
  const most = Math.max(...bars);
  const draw = (bar: number) => (bar === 0 ? " " : BLOCKS[Math.ceil((bar / most) * BLOCKS.length) - 1]);
  return bars.map(draw).join("");
}

/** Without colours, which would be noise in a pipe. */
function render(head: string[], rows: string[][]): string {
  const table = new Table({
    head,
    style: { head: [], border: [], compact: true },
    colAligns: head.map((name) => (["column", "component", "histogram"].includes(name) ? "left" : "right")),
  });
  table.push(...rows);
  return table.toString();
}

function showModel({ method, scaler, columns, file }: Model): string {
  const { config } = scaler.toJSON();
  const given = Object.entries(config).filter(([, value]) => value !== undefined);
  const options = given.map(([key, value]) => `${key} ${JSON.stringify(value)}`);
  const lines = [`${file}: model of the method ${method.name}`];
  if (options.length > 0) lines.push(`options: ${options.join(", ")}`);
  const names = (count: number) => Array.from({ length: count }, (_, j) => String(columns?.[j] ?? j + 1));
  lines.push(
    describe(
      "column",
      attempt(file, () => method.describe(scaler)),
      names,
      columns?.length,
    ),
  );
  const { describeComponents } = method;
  if (describeComponents !== undefined) {
    const components = (count: number) => Array.from({ length: count }, (_, j) => String(j + 1));
    lines.push(
      describe(
        "component",
        attempt(file, () => describeComponents(scaler)),
        components,
      ),
    );
  }
  return `${lines.join("\n")}\n`;
}

/** A table of numbers by their names. */
function describe(what: string, figures: Description, names: (count: number) => string[], least = 0): string {
  const values = Object.values(figures);
  const rows = names(Math.max(least, ...values.map(({ length }) => length)));
  return render(
    [what, ...Object.keys(figures)],
    rows.map((name, j) => [name, ...values.map((ofColumn) => short(ofColumn[j]))]),
  );
}

/** Cells of text in a column of numbers: how many, and where the first is. */
interface TextCells {
  count: number;
  row: number;
  text: string;
}

async function showTable(source: Source, options: InspectOptions): Promise<string> {
  const chosen = chooseColumns(source, options);
  const statistics = new Statistics(chosen.length);
  const texts = new Map<number, TextCells>();
  const rows = await readBlocks(
    source,
    {
      chosen,
      dtype: source.dtypeOf(chosen),
      task: "inspect",
      onText: (row, column, text) => {
        const found = texts.get(column);
        if (found === undefined) texts.set(column, { count: 1, row, text });
        else found.count++;
      },
    },
    ({ values }) => statistics.add(values),
  );
  const lines = [`${source.file}: ${source.format}, ${whole(rows)} rows, ${source.columns.length} columns`];
  if (rows > 0) lines.push(...figuresOf(source, chosen, statistics.columns, texts));
  return `${lines.join("\n")}\n`;
}

function figuresOf(
  { columns }: Source,
  chosen: readonly number[],
  statistics: readonly ColumnStatistics[],
  texts: ReadonlyMap<number, TextCells>,
): string[] {
  const rows: string[][] = [];
  const notes: string[] = [];
  for (const [j, column] of chosen.entries()) {
    const { count, missing, infinite, mean, std, min, quartiles, max, histogram } = statistics[j];
    const { name } = columns[column];
    const text = texts.get(column);
    if (text !== undefined && count === 0) {
      notes.push(`${name}: text, such as ${quote(text.text)}`);
      continue;
    }
    if (text !== undefined) {
      notes.push(
        `${name}: ${whole(text.count)} of the missing are text; the first is ${quote(text.text)} in row ${text.row}`,
      );
    }
    if (infinite > 0) notes.push(`${name}: infinite values, left out of the figures: ${whole(infinite)}`);
    const figures = [mean, std, min, ...quartiles, max].map(short);
    rows.push([name, whole(count), whole(missing), ...figures, drawHistogram(histogram)]);
  }
  for (const { name, numeric } of columns) if (numeric === false) notes.push(`${name}: does not hold numbers`);
  if (rows.length === 0) return notes;
  const head = ["column", "count", "missing", "mean", "std", "min", "25%", "50%", "75%", "max", "histogram"];
  return [render(head, rows), ...notes];
}
