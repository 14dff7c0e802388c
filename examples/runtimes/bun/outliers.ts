/**
 * Finds outliers in a CSV: `bun bun/outliers.ts [threshold] < rows.csv` (`npm run bun` on a sample).
 *
 * The first line names the columns, all of numbers. Each is scaled by its median and the spread of its middle half, which
 * outliers hardly move, as they do a mean and a deviation. Printed is each value beyond the threshold (default 3), where a
 * normal deviate has a spread of 1.35.
 */
import { RobustScaler } from "evenkeel";
import Papa from "papaparse";

function stop(message: string): never {
  console.error(`outliers: ${message}`);
  process.exit(1);
}

const threshold = Number(Bun.argv[2] ?? 3);
if (!(threshold > 0)) stop(`the threshold must be a number above 0, got "${Bun.argv[2]}"`);
const { data: table } = Papa.parse<string[]>((await Bun.stdin.text()).trim(), { delimiter: "," });
const [names, ...rows] = table;
if (rows.length < 4) stop(`at least 4 rows are needed, got ${rows.length}`);
rows.forEach((row, i) => {
  const isNumbers = row.length === names.length && row.every((field) => field.trim() && Number.isFinite(Number(field)));
  if (!isNumbers) stop(`row ${i + 1} must hold ${names.length} numbers, got "${row.join(",")}"`);
});

const x = { data: Float64Array.from(rows.flat(), Number), shape: [rows.length, names.length] };
const scaler = new RobustScaler().fit(x);
const scaled = scaler.transform(x).data;
let found = 0;
scaled.forEach((value, at) => {
  if (Math.abs(value) <= threshold) return;
  const [i, j] = [Math.floor(at / names.length), at % names.length];
  console.log(`row ${i + 1}, ${names[j]}: ${rows[i][j]} is ${value.toFixed(2)} spreads from the median`);
  found++;
});
console.log(`${found} of ${scaled.length} values beyond ${threshold}`);
