/**
 * Standardizes a CSV: `deno run deno/standardize.ts < rows.csv > standardized.csv` (`npm run deno` on a sample).
 *
 * The first line names the columns. A column of numbers is brought to mean 0 and deviation 1, an empty field stays empty;
 * a column with any text is passed through.
 */
import { StandardScaler } from "evenkeel";
import Papa from "papaparse";

const text = await new Response(Deno.stdin.readable).text();
const { data: table, errors } = Papa.parse<string[]>(text.trim(), { delimiter: "," });
const [names, ...rows] = table;
const ragged = rows.findIndex((row) => row.length !== names.length);
if (errors.length > 0 || ragged >= 0 || rows.length === 0) {
  const problem = rows.length === 0 ? "there are no rows" : `row ${ragged + 1} has not ${names.length} fields`;
  console.error(`standardize: ${errors[0]?.message ?? problem}`);
  Deno.exit(1);
}

const numeric = names.map((_, j) => j).filter((j) => rows.every((row) => Number.isFinite(Number(row[j]))));
if (numeric.length === 0) {
  console.error("standardize: there is no column of numbers");
  Deno.exit(1);
}
// Not a number is a missing value to the scaler: it counts in no statistic.
const values = rows.flatMap((row) => numeric.map((j) => (row[j].trim() === "" ? NaN : Number(row[j]))));
const x = { data: Float64Array.from(values), shape: [rows.length, numeric.length] };
const scaled = new StandardScaler().fitTransform(x).data;

rows.forEach((row, i) => {
  numeric.forEach((j, k) => {
    const value = scaled[i * numeric.length + k];
    row[j] = Number.isNaN(value) ? "" : value.toFixed(4);
  });
});
console.log(Papa.unparse([names, ...rows], { newline: "\n" }));
