/** Model files: a fitted scaler as JSON, with the columns that it was fitted on. */
import { readFileSync } from "node:fs";
import type { SavedScaler } from "../preprocessing/scaler.js";
import { checkNumeric, chooseColumns } from "./columns.js";
import { DataError, explain, failAt, quote } from "./errors.js";
import type { Source } from "./formats/format.js";
import { type AnyScaler, type Method, methodOf } from "./methods.js";

export interface Model {
  /** How messages call it. */
  file: string;
  method: Method;
  scaler: AnyScaler;
  /** Names, or places counted from 1 where the data had no names; null in what a program saved of a bare scaler. */
  columns: readonly (string | number)[] | null;
}

/** The columns of a table, as a model remembers them: by their names, where these tell them apart. */
export function rememberColumns({ columns, isNamed }: Source, chosen: readonly number[]): (string | number)[] {
  const count = new Map<string, number>();
  for (const { name } of columns) count.set(name, (count.get(name) ?? 0) + 1);
  return chosen.map((column) => {
    const { name } = columns[column];
    return isNamed && count.get(name) === 1 ? name : column + 1;
  });
}

export function modelToJSON({ method, columns, scaler }: Omit<Model, "file">): string {
  return `${JSON.stringify({ evenkeel: 1, method: method.name, columns, scaler })}\n`;
}

/** Reads what `modelToJSON` made, or the JSON of a scaler that a program saved. */
export function readModel(file: string): Model {
  let text: string;
  try {
    text = readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    throw new DataError(`${file}: cannot be read: ${explain(error)}`);
  }
  const name = file === "-" ? "standard input" : file;
  const saved = parse(name, text);
  const { evenkeel, columns } = saved;
  if (evenkeel !== undefined && evenkeel !== 1) {
    failAt({ file: name }, `is a model of version ${quote(String(evenkeel))}; a newer evenkeel wrote it, update`);
  }
  const scaler = (evenkeel === 1 ? saved.scaler : saved) as SavedScaler | undefined;
  const method = methodOf(scaler);
  if (method === undefined) failAt({ file: name }, "is not a model; evenkeel fit makes one");
  try {
    return { file: name, method, scaler: method.load(scaler), columns: readColumns(name, columns) };
  } catch (error) {
    if (error instanceof DataError) throw error;
    failAt({ file: name }, (error as Error).message);
  }
}

function parse(file: string, text: string): Record<string, unknown> {
  try {
    const saved: unknown = JSON.parse(text);
    if (typeof saved === "object" && saved !== null) return saved as Record<string, unknown>;
  } catch {
    // What is no JSON is no model either.
  }
  return failAt({ file }, "is not a model, which is a JSON file; evenkeel fit makes one");
}

function readColumns(file: string, columns: unknown): readonly (string | number)[] | null {
  if (columns === undefined || columns === null) return null;
  const isColumn = (column: unknown) => typeof column === "string" || Number.isSafeInteger(column);
  if (!Array.isArray(columns) || !columns.every(isColumn)) {
    failAt({ file }, "has a list of columns that is not one of names or numbers");
  }
  return columns;
}

/**
 * The columns of a table that a model works on, counted from 0: those asked for, else those of the names that it
 * remembers, else those of the places, else all.
 */
export function modelColumns(
  { file, columns }: Pick<Model, "file" | "columns">,
  features: number | undefined,
  source: Source,
  asked: string | undefined,
): number[] {
  const chosen =
    asked !== undefined || columns === null
      ? chooseColumns(source, { columns: asked })
      : columns.map((column, k) => findRemembered(file, source, column, k, columns.length));
  checkNumeric(source, chosen);
  const wanted = columns?.length ?? features ?? chosen.length;
  if (chosen.length !== wanted) {
    failAt(
      { file: source.file },
      `has ${chosen.length} columns to work on where ${file} was fitted on ${wanted}; choose them with --columns`,
    );
  }
  return chosen;
}

/** The k-th of `count` remembered columns. */
function findRemembered(model: string, source: Source, column: string | number, k: number, count: number): number {
  const { columns, isNamed, file } = source;
  if (typeof column === "number") {
    if (column <= columns.length) return column - 1;
    failAt({ file }, `has ${columns.length} columns where ${model} was fitted on column ${column}; add --columns`);
  }
  if (isNamed) {
    const found = columns.findIndex(({ name }) => name === column);
    if (found >= 0) return found;
    failAt({ file }, `has no column ${quote(column)}, on which ${model} was fitted; name another with --columns`);
  }
  if (columns.length !== count) {
    failAt(
      { file },
      `has ${columns.length} columns without names where ${model} was fitted on ${count} with names; add --columns`,
    );
  }
  return k;
}
