/**
 * Paired, interleaved measuring. Benchmark.js times one case to its end and then the next, so that a machine that slows
 * down between them changes the ratio. Here a Benchmark.js suite is a case, a benchmark in it is a pair (ours and one
 * peer), and an iteration is a round: a block of calls of each, one right after the other, in random order.
 * Benchmark.js runs the suite, finds how many rounds make a cycle and stops when the time is up; the figure is the
 * median of the ratios of the rounds, with its quartiles.
 *
 * A contestant is { name, run }, where `run` is one call and may return a promise; or { name, block }, where
 * `block(count)` makes the calls in another process, which times them and answers with seconds a call. One that
 * `isReference`, ours under another name, gets more time: its ratio tells how far the others can be trusted.
 */
import Benchmark from "benchmark";

/** Seconds that a block takes at the least; the count of calls aims half as high again. */
const BLOCK = 0.2e-3;
/** Calls that take longer are not made once more before each block. */
const SLOW = 5e-3;

export const secondsSince = (start) => (performance.now() - start) / 1000;

function syncBlock(run, count) {
  const start = performance.now();
  for (let i = 0; i < count; i++) run();
  return secondsSince(start) / count;
}

async function asyncBlock(run, count) {
  const start = performance.now();
  for (let i = 0; i < count; i++) await run();
  return secondsSince(start) / count;
}

/** Seconds a call. One call goes before the clock starts, lest a contestant pays for caches that another one filled. */
async function timeBlock(contestant, count, warm) {
  if (contestant.block) return contestant.block(count);
  if (warm) await contestant.run();
  return contestant.isAsync ? asyncBlock(contestant.run, count) : syncBlock(contestant.run, count);
}

/**
 * Runs a contestant until it is compiled, and finds the number of calls that makes a block. One whose second call takes
 * more than `patience` seconds gets one round; so does one whose first call took ten times as long, without a second.
 */
export async function calibrate(contestant, { warmUp, patience }) {
  contestant.count = 1;
  contestant.isAsync = true;
  contestant.blockTime = contestant.firstCall;
  contestant.isVerySlow = contestant.firstCall > 10 * patience;
  if (contestant.isVerySlow) return;
  const start = performance.now();
  const answer = contestant.run ? contestant.run() : contestant.block(1);
  contestant.isAsync = answer instanceof Promise;
  await answer;
  contestant.blockTime = secondsSince(start);
  contestant.isVerySlow = contestant.blockTime > patience;
  if (contestant.isVerySlow) return;
  for (let spent = 0; spent < warmUp; ) {
    const period = await timeBlock(contestant, contestant.count, false);
    spent += period * contestant.count;
    contestant.warm = period < SLOW;
    contestant.count = Math.max(1, Math.min(Math.ceil((1.5 * BLOCK) / period), 16 * contestant.count));
    contestant.blockTime = period * contestant.count;
  }
}

const oneBlock = (contestant) => timeBlock(contestant, contestant.count, contestant.warm);

async function round(ours, peer) {
  if (Math.random() < 0.5) {
    const a = await oneBlock(ours);
    return { ours: a, peer: await oneBlock(peer) };
  }
  const b = await oneBlock(peer);
  return { ours: await oneBlock(ours), peer: b };
}

function quantile(sorted, at) {
  const place = (sorted.length - 1) * at;
  const [below, above] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return below + (above - below) * (place % 1);
}

function quartiles(values) {
  const sorted = Float64Array.from(values).sort();
  return { low: quantile(sorted, 0.25), median: quantile(sorted, 0.5), high: quantile(sorted, 0.75) };
}

/**
 * Times `ours` against each peer. Resolves to a list of { name, ours, peer, ratio, rounds }: median seconds a call of
 * both, and the quartiles of peer/ours, more than 1 where ours is faster; or { name, error }.
 */
export function measurePairs(title, ours, peers, { seconds, minCycles }) {
  const suite = new Benchmark.Suite(title);
  const results = [];
  for (const peer of peers) {
    const rounds = [];
    let error;
    const fn = (deferred) =>
      round(ours, peer)
        .then((result) => rounds.push(result))
        .catch((reason) => {
          error = reason;
          deferred.benchmark.abort();
        })
        .finally(() => deferred.resolve());
    const onComplete = () => {
      if (error || rounds.length === 0) {
        results.push({ name: peer.name, error: error ?? new Error("no round was completed") });
        return;
      }
      results.push({
        name: peer.name,
        ours: quartiles(rounds.map((r) => r.ours)).median,
        peer: quartiles(rounds.map((r) => r.peer)).median,
        ratio: quartiles(rounds.map((r) => r.peer / r.ours)),
        rounds: rounds.length,
      });
    };
    const share = peer.isReference ? 2 : 1;
    const cycle = seconds / 5;
    // The delay is Benchmark.js's pause between cycles. A cycle costs it milliseconds, hence few of them, and a good
    // first guess of the rounds in one.
    suite.add(peer.name, fn, {
      defer: true,
      delay: 0,
      initCount: Math.ceil(cycle / (ours.blockTime + peer.blockTime)),
      minTime: cycle,
      maxTime: share * seconds,
      minSamples: peer.isVerySlow ? 1 : share * minCycles,
      onComplete,
    });
  }
  return new Promise((resolve) => {
    if (peers.length === 0) resolve(results);
    suite.on("complete", () => resolve(results)).run({ async: true });
  });
}
