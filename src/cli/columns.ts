/** Which columns of a table are worked on, and what columns a result has. */
import Papa from "papaparse";
import { failAt, quote, UsageError } from "./errors.js";
import type { Column, OutputColumn, Source } from "./formats/format.js";

/** What `--columns` and `--except` say. */
export interface Selection {
  columns?: string;
  except?: string;
}

/** The parts of a list such as `age,income,5-8`; a name with a comma stands in quotes. */
function parseList(option: string, list: string): string[] {
  const { data, errors } = Papa.parse<string[]>(list, { delimiter: ",", newline: "\n" });
  const parts = data.flat().map((part) => part.trim());
  if (errors.some(({ type }) => type === "Quotes") || parts.includes("") || parts.length === 0) {
    throw new UsageError(`${option} must be names or numbers with commas between them, got ${quote(list)}`);
  }
  return parts;
}

/** The places, counted from 0, that a part of a list means: a name, a number or a range of numbers. */
function findColumns(option: string, source: Source, part: string): number[] {
  const { columns, file, isNamed } = source;
  if (isNamed) {
    const found = columns.flatMap(({ name }, i) => (name === part ? [i] : []));
    if (found.length > 1) {
      const places = found.map((i) => i + 1).join(" and ");
      throw new UsageError(`${option}: ${file} has several columns named ${quote(part)}; choose by number: ${places}`);
    }
    if (found.length === 1) return found;
  }
  const range = /^(\d+)(?:-(\d+))?$/.exec(part);
  if (range) {
    const first = Number(range[1]);
    const last = Number(range[2] ?? range[1]);
    if (first >= 1 && last >= first && last <= columns.length) {
      return Array.from({ length: last - first + 1 }, (_, i) => first - 1 + i);
    }
    throw new UsageError(`${option}: ${part} is not among the ${columns.length} columns of ${file}, counted from 1`);
  }
  throw new UsageError(`${option}: ${file} has no column ${quote(part)}; ${listOf(source)}`);
}

function listOf({ columns, isNamed }: Source): string {
  if (!isNamed) return `its columns have no names; choose by number, 1 to ${columns.length}`;
  const names = columns.slice(0, 20).map(({ name }) => name);
  return `it has ${names.join(", ")}${columns.length > names.length ? ", ..." : ""}`;
}

/** The chosen columns, counted from 0: those of `--columns`, or all that can be numbers, without those of `--except`. */
export function chooseColumns(source: Source, { columns, except }: Selection): number[] {
  const places = (option: string, list: string) =>
    parseList(option, list).flatMap((part) => findColumns(option, source, part));
  const isText = ({ numeric }: Column) => numeric === false;
  const all = source.columns.flatMap((column, i) => (isText(column) ? [] : [i]));
  const wanted = columns === undefined ? all : places("--columns", columns);
  const dropped = new Set(except === undefined ? [] : places("--except", except));
  const chosen = [...new Set(wanted)].filter((column) => !dropped.has(column));
  if (chosen.length === 0) failAt({ file: source.file }, "no columns are left to work on");
  checkNumeric(source, chosen);
  return chosen;
}

/** Throws where a column cannot hold numbers. */
export function checkNumeric({ columns, file }: Source, chosen: readonly number[]): void {
  for (const column of chosen) {
    const { numeric, name } = columns[column];
    if (numeric === false) failAt({ file, column: column + 1, name }, "does not hold numbers");
  }
}

/**
 * The columns of a result. Scaled values stand where their columns stood. Where their number changed, all of the new ones
 * stand in the place of the first chosen column. `names`: those of the values, where they are new.
 */
export function outputColumns(
  source: Source,
  chosen: readonly number[],
  names: readonly string[] | undefined,
  dropRest: boolean,
): OutputColumn[] {
  const placeOf = new Map(chosen.map((column, value) => [column, value]));
  const first = Math.min(...chosen);
  const result: OutputColumn[] = [];
  for (const [i, { name }] of source.columns.entries()) {
    const value = placeOf.get(i);
    if (value === undefined) {
      if (!dropRest) result.push({ name, source: i });
    } else if (names === undefined || names.length === chosen.length) {
      result.push({ name: names?.[value] ?? name, value, source: i });
    } else if (i === first) result.push(...names.map((newName, j) => ({ name: newName, value: j })));
  }
  // Without the rest there is no place to keep: the order is the one that was asked for.
  if (dropRest) result.sort((a, b) => (a.value as number) - (b.value as number));
  return result;
}
