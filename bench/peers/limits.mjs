/**
 * What the machine can do, as contestants: `memory.copy` that moves as many bytes as the case must, half of them read and
 * half written; and, for products, as many multiplications and additions, of registers only. Both are wasm of their own.
 */
import asc from "assemblyscript/asc";

/** Independent chains of one instruction each: enough to hide its latency, few enough to stay in registers. */
const CHAINS = 6;
const FLOPS_A_ROUND = 2 * 4 * CHAINS;

const each = (line) => Array.from({ length: CHAINS }, (_, i) => line.replaceAll("#", i)).join("\n");

const source = `
export function copy(to: usize, from: usize, bytes: usize): void {
  memory.copy(to, from, bytes);
}

export function multiplyAdd(rounds: i32): f32 {
  const factor = f32x4.splat(0.999999);
  const summand = f32x4.splat(0.000001);
  ${each("let product# = f32x4.splat(# + 1); let sum# = f32x4.splat(#);")}
  for (let i = 0; i < rounds; i++) {
    ${each("product# = f32x4.mul(product#, factor); sum# = f32x4.add(sum#, summand);")}
  }
  let total = f32x4.splat(0);
  ${each("total = f32x4.add(total, f32x4.add(product#, sum#));")}
  return f32x4.extract_lane(total, 0);
}
`;

async function compile() {
  const options = { optimizeLevel: 3, enable: ["simd"], runtime: "stub" };
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
