/**
 * What the machine can do, as contestants: `memory.copy` that moves as many bytes as the case must, half of them read
 * and half written; and, for products, as many multiplications and additions, in the inner step of a product whose
 * operands stay in the first-level cache. Both are wasm of their own.
 */
import asc from "assemblyscript/asc";

/** Rows and columns of vectors in the tile, and so eight sums: enough to hide the latency of an addition. */
const [ROWS, COLUMNS] = [2, 4];
const FLOPS_A_ROUND = ROWS * COLUMNS * 4 * 2;

const indices = (count) => Array.from({ length: count }, (_, i) => i);
const pairs = indices(ROWS).flatMap((i) => indices(COLUMNS).map((j) => [i, j]));
const lines = (items, line) => items.map(line).join("\n  ");

const source = `
export function copy(to: usize, from: usize, bytes: usize): void {
  memory.copy(to, from, bytes);
}

export function multiplyAdd(rounds: i32): f32 {
  ${lines(pairs, ([i, j]) => `let sum${i}${j} = f32x4.splat(0);`)}
  for (let round = 0; round < rounds; round++) {
    ${lines(indices(ROWS), (i) => `const a${i} = v128.load(1024, ${16 * i});`)}
    ${lines(indices(COLUMNS), (j) => `const b${j} = v128.load(1024, ${16 * (ROWS + j)});`)}
    ${lines(pairs, ([i, j]) => `sum${i}${j} = f32x4.add(sum${i}${j}, f32x4.mul(a${i}, b${j}));`)}
  }
  let total = f32x4.splat(0);
  ${lines(pairs, ([i, j]) => `total = f32x4.add(total, sum${i}${j});`)}
  return f32x4.extract_lane(total, 0);
}
`;

async function compile() {
  const options = { optimizeLevel: 3, enable: ["simd"], runtime: "stub", initialMemory: 1 };
  const { error, binary, stderr } = await asc.compileString(source, options);
  if (error) throw new Error(`the limits do not compile: ${error.message}\n${stderr}`);
  const imports = { env: { abort: () => {} } };
  return (await WebAssembly.instantiate(binary, imports)).instance.exports;
}

const PAGE = 65536;
let kernels;

async function memoryCopy({ bytes }) {
  kernels ??= await compile();
  const length = bytes / 2;
  // Past what the module's own data takes; the source starts half a page away from the end of the target.
  const target = PAGE;
  const from = Math.ceil((target + length) / PAGE) * PAGE + PAGE / 2;
  const pages = Math.ceil((from + length) / PAGE);
  const present = kernels.memory.buffer.byteLength / PAGE;
  if (pages > present) kernels.memory.grow(pages - present);
  new Uint8Array(kernels.memory.buffer).fill(1, from, from + length);
  return { name: "memory.copy", run: () => kernels.copy(target, from, length) };
}

async function multiplyAdd({ flops }) {
  kernels ??= await compile();
  const rounds = Math.round(flops / FLOPS_A_ROUND);
  return { name: "multiply-add peak", run: () => kernels.multiplyAdd(rounds) };
}

/** The limits that a case has. */
export async function limitsOf(benchCase) {
  return [await memoryCopy(benchCase), ...(benchCase.flops ? [await multiplyAdd(benchCase)] : [])];
}
