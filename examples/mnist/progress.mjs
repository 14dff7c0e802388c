/** How far training is: a bar for each network on a terminal, a line now and then elsewhere. */
import cliProgress from "cli-progress";

const describe = ({ accuracy }) => `${(100 * accuracy).toFixed(1).padStart(4)} % right`;

/** `update(i, evaluation)` moves the network number i on; `stop()` ends the display. */
export function showProgress(names, steps) {
  const width = Math.max(...names.map((name) => name.length));
  return process.stdout.isTTY ? showBars(names, steps, width) : showLines(names, steps, width);
}

function showBars(names, steps, width) {
  const bars = new cliProgress.MultiBar(
    { format: "  {name} {bar} {value}/{total} | {result} | {eta_formatted} left", barsize: 20, hideCursor: true },
    cliProgress.Presets.shades_classic,
  );
  const each = names.map((name) => bars.create(steps, 0, { name: name.padEnd(width), result: "starting" }));
  return {
    update: (i, evaluation) => each[i].update(evaluation.step, { result: describe(evaluation) }),
    stop: () => bars.stop(),
  };
}

function showLines(names, steps, width) {
  const next = names.map(() => 0);
  return {
    update(i, evaluation) {
      if (evaluation.step < next[i] && evaluation.step < steps) return;
      next[i] = evaluation.step + steps / 5;
      console.log(`  ${names[i].padEnd(width)}  step ${String(evaluation.step).padStart(6)}  ${describe(evaluation)}`);
    },
    stop() {},
  };
}
