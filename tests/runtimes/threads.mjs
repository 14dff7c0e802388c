/**
 * What evenkeel/threads shares out, by pools of several sizes: results must have the bits of the package on one thread,
 * and those of every other runtime. No dependencies, no `node:`.
 */
import { DTYPES, digestOf, makerOf } from "./suite.mjs";

const THREADS = [1, 2, 4];

/** Few and many rows, columns and planes: uneven, in one block and in many. */
const SHAPES = [
  { shape: [2100, 5] },
  { shape: [203, 38] },
  { shape: [3, 6, 5, 61] },
  { shape: [2, 2, 9001] },
  { shape: [8, 32, 28, 28] },
  { shape: [3, 33, 7, 22], layout: "channels-last" },
  { shape: [5, 33, 31, 64], layout: "channels-last" },
];

/** The function alone, the forward pass and the gradients, of a method of channels or rows. */
const normalization = (name, optionsOf, shapes = SHAPES) => ({
  name,
  shapes,
  async run(functions, maker, { shape, layout = "channels-first" }) {
    const [x, dy] = [maker.tensor(shape, 1, 3, 2), maker.tensor(shape, 2)];
    const options = optionsOf(maker, shape, layout);
    const { y, saved } = await functions[`${name}Forward`](x, options);
    return [await functions[name](x, options), y, await functions[`${name}Backward`](dy, saved)];
  },
});

function ofChannels({ values }, shape, layout) {
  const channels = layout === "channels-first" ? shape[1] : shape[shape.length - 1];
  return { weight: values(channels, 3, 1, 0.5), bias: values(channels, 4), layout, numGroups: channels % 2 ? 1 : 2 };
}

function ofRows({ values }, shape) {
  const normalizedShape = shape.slice(1);
  const length = normalizedShape.reduce((product, size) => product * size);
  return { normalizedShape, weight: values(length, 3, 1, 0.5), bias: values(length, 4) };
}

const whitening = (name) => ({
  name,
  shapes: [
    [3, 2],
    [1000, 37],
    [513, 130],
    [4001, 64],
  ],
  async run(functions, maker, [rows, columns]) {
    const scaler = await functions.fit(new functions[name](), maker.tensor([rows, columns], 1, 5));
    const learned = scaler.toJSON();
    return [learned, (await functions.partialFit(scaler, maker.tensor([rows + 1, columns], 2))).toJSON()];
  },
});

const calls = [
  {
    name: "matmul",
    shapes: [
      [1, 1, 1],
      [67, 129, 65],
      [300, 130, 517],
      [301, 33, 1030],
      [640, 520, 600],
    ],
    async run({ matmul }, maker, [m, k, n]) {
      const [a, b] = [maker.tensor([m, k], 1), maker.tensor([k, n], 2)];
      const other = maker.tensor([m, n], 3);
      return [
        await matmul(a, b),
        await matmul(a, other, { transposeA: true }),
        await matmul(other, b, { transposeB: true }),
        await matmul(a, a, { transposeB: true }),
      ];
    },
  },
  normalization("batchNorm", ofChannels),
  normalization("groupNorm", ofChannels),
  normalization(
    "instanceNorm",
    ofChannels,
    SHAPES.filter(({ shape }) => shape.length > 2),
  ),
  normalization("layerNorm", ofRows),
  whitening("Whitening"),
  whitening("Decorrelation"),
];

/**
 * Watches the workers that are started from now on: how many are there, and how many messages they have been sent. `holder`
 * has the class of workers: the global object, or a module of Node.
 */
export function watchWorkers(holder) {
  const counts = { alive: 0, messages: 0 };
  holder.Worker = class extends holder.Worker {
    constructor(...args) {
      super(...args);
      counts.alive++;
    }

    postMessage(...args) {
      counts.messages++;
      return super.postMessage(...args);
    }

    terminate() {
      counts.alive--;
      return super.terminate();
    }
  };
  return counts;
}

/** A maker that makes each input once. */
function remembering({ tensor, values, dtype }) {
  const made = new Map();
  const once =
    (make) =>
    (...args) => {
      const key = JSON.stringify([make.name, ...args]);
      if (!made.has(key)) made.set(key, make(...args));
      return made.get(key);
    };
  return { tensor: once(tensor), values: once(values), dtype };
}

/** Runs everything on one thread and in pools. `failures` and `digests` are as those of the suite. */
export async function runThreads(library, { createPool, supported }, workers) {
  const failures = [];
  const digests = {};
  if (!supported()) failures.push("supported() is false");
  const alone = {
    ...library,
    fit: async (scaler, x) => scaler.fit(x),
    partialFit: async (scaler, x) => scaler.partialFit(x),
  };
  const pools = await Promise.all(THREADS.map((threads) => createPool({ threads, minWork: 0 })));
  const { memoryInfo } = pools[0];
  const held = memoryInfo().usedBytes;
  const started = THREADS.reduce((sum, threads) => sum + threads);
  if (workers.alive !== started) failures.push(`${workers.alive} workers, not ${started}`);

  /** The digest of a call on one thread, to which those of all pools are compared, for arrays of the heap and tensors. */
  async function check({ name, run }, dtype, shape) {
    const maker = remembering(makerOf({ dtype }));
    const want = digestOf(await run(alone, maker, shape));
    for (const pool of pools) {
      const functions = { ...library, ...pool };
      const made = [];
      const tensor = (...args) => {
        const { data, shape } = maker.tensor(...args);
        made.push(pool.tensor(shape, { data, dtype }));
        return made[made.length - 1];
      };
      const before = workers.messages;
      const results = [await run(functions, maker, shape), await run(functions, { ...maker, tensor }, shape)];
      if (workers.messages === before) failures.push(`${name}: no call went to a worker`);
      for (const [i, result] of results.entries()) {
        if (digestOf(result) === want) continue;
        const where = `${dtype} ${JSON.stringify(shape)}, ${["heap", "shared memory"][i]}`;
        failures.push(`${name}: ${pool.threads} threads differ from one for ${where}`);
      }
      for (const one of made) one.dispose();
      if (memoryInfo().usedBytes !== held) failures.push(`${name}: shared memory was not given back`);
    }
    return want;
  }

  for (const call of calls) {
    const found = [];
    for (const dtype of DTYPES) {
      for (const shape of call.shapes) {
        try {
          found.push(await check(call, dtype, shape));
        } catch (error) {
          failures.push(`${call.name}: ${error?.stack ?? error}`);
        }
      }
    }
    digests[`threads: ${call.name}`] = digestOf(found);
  }

  await Promise.all(pools.map((pool) => pool.close()));
  if (workers.alive !== 0) failures.push(`${workers.alive} workers were not ended`);
  const { usedBytes } = memoryInfo();
  if (usedBytes !== 0) failures.push(`closed pools hold ${usedBytes} bytes of shared memory`);
  return { failures, digests };
}

/** Where threads cannot share memory, the package must say so. */
export async function runRefusal({ createPool, supported }) {
  const failures = [];
  if (supported()) failures.push("supported() is true");
  try {
    await createPool();
    failures.push("createPool gave a pool");
  } catch (error) {
    if (!error.message.startsWith("createPool: threads cannot share memory here; serve the page with the headers"))
      failures.push(`createPool: ${error?.stack ?? error}`);
  }
  return { failures, digests: {} };
}

/** A worker that ends by itself, as one that its browser ends, says nothing: its calls must be rejected all the same. */
export async function runLoss({ createPool }) {
  const workers = [];
  const Own = globalThis.Worker;
  const file = (text) => URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  const mortal = file(`addEventListener("message", (event) => {
  if (event.data !== "end") return;
  event.stopImmediatePropagation();
  close();
});`);
  globalThis.Worker = class extends Own {
    constructor(url, options) {
      super(file(`import "${mortal}"; import "${url}";`), options);
      workers.push(this);
    }
  };
  const failures = [];
  const pool = await createPool({ threads: 2, minWork: 0 });
  globalThis.Worker = Own;
  const a = pool.tensor([64, 64]);
  workers[0].postMessage("end");
  try {
    await pool.matmul(a, a);
    failures.push("a call came back from a worker that has ended");
  } catch (error) {
    if (!error.message.startsWith("matmul: a worker of the pool was lost")) failures.push(String(error.stack));
  }
  await pool.matmul(a, a);
  a.dispose();
  await pool.close();
  const { usedBytes } = pool.memoryInfo();
  if (usedBytes !== 0) failures.push(`a pool that lost a worker holds ${usedBytes} bytes when it is closed`);
  return failures;
}
