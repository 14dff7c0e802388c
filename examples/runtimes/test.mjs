/**
 * Runs every example and checks what it prints: `npm test` here, after `npm install` here and `npm run build` at the root.
 *
 * Servers are started on a free port of this machine and stopped again. The page needs a Chromium: the one at CHROMIUM, or
 * /usr/bin/chromium; without one its check is skipped.
 */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createCanvas } from "@napi-rs/canvas";
import { imagePresets, imageToTensor } from "evenkeel";
import { chromium } from "playwright-core";

const folder = fileURLToPath(new URL(".", import.meta.url));
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const MINUTES = 60 * 1000;
// No reports, and no look-ups on the network, where the tools would try them.
const env = { ...process.env, CLOUDFLARE_CF_FETCH_ENABLED: "false", WRANGLER_SEND_METRICS: "false", CI: "true" };
const inFolder = { cwd: folder, env, timeout: 10 * MINUTES };
const rows = readFileSync(new URL("rows.csv", import.meta.url), "utf8");

/** Runs a program of this folder on an input; resolves to what it printed, rejects where it fails. */
async function print(command, args, input = "") {
  const running = promisify(execFile)(command, args, inFolder);
  running.child.stdin.end(input);
  return (await running).stdout;
}

const tool = (name) => `${folder}node_modules/.bin/${name}`;
const script = (file) => print(process.execPath, [file]);

/** Starts a server and resolves to the address that it prints; it is stopped after the tests. */
async function serve(command, args) {
  const child = spawn(command, args, { ...inFolder, detached: true });
  after(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      // The whole group: wrangler starts processes of its own.
      process.kill(-child.pid, "SIGTERM");
      await once(child, "exit");
    }
  });
  let printed = "";
  child.stderr.on("data", (text) => {
    printed += text;
  });
  // Left open behind the address: a server whose output nobody takes dies of it.
  for await (const text of child.stdout.iterator({ destroyOnReturn: false })) {
    printed += text;
    const found = /http:\/\/127\.0\.0\.1:\d+/.exec(printed);
    if (found) {
      child.stdout.resume();
      return found[0];
    }
  }
  throw new Error(`${command} stopped:\n${printed}`);
}

/** The number behind a heading in what an example printed. */
function numberAfter(heading, printed) {
  const found = new RegExp(`${heading}[^0-9]*([0-9.]+(e[-+]?[0-9]+)?)`).exec(printed);
  assert.ok(found, `"${heading}" is not in:\n${printed}`);
  return Number(found[1]);
}

const closeTo = (value, expected, tolerance) => {
  assert.ok(Math.abs(value - expected) <= tolerance, `${value} is not within ${tolerance} of ${expected}`);
};

test("the Worker normalizes and refuses", { timeout: 2 * MINUTES }, async () => {
  const args = [
    "dev",
    "--config",
    "worker/wrangler.jsonc",
    "--ip",
    "127.0.0.1",
    "--port",
    "0",
    "--inspector-port",
    "0",
  ];
  const address = await serve(tool("wrangler"), args);
  const json = { "content-type": "application/json" };
  const bytes = { "content-type": "application/octet-stream" };
  const post = (query, headers, body) => fetch(`${address}/normalize${query}`, { method: "POST", headers, body });

  const unit = await post("", json, "[3, 4]");
  assert.equal(unit.status, 200);
  assert.deepEqual(await unit.json(), [Math.fround(0.6), Math.fround(0.8)]);

  const layer = await post("?norm=layer", bytes, Float32Array.of(1, 2, 3, 6));
  assert.equal(layer.headers.get("content-type"), "application/octet-stream");
  const values = new Float32Array(await layer.arrayBuffer());
  // Mean 3, variance 3.5; eps is 1e-5.
  [-2, -1, 0, 3].forEach((value, i) => {
    closeTo(values[i], value / Math.sqrt(3.5 + 1e-5), 1e-6);
  });

  const large = await post("", bytes, new Float32Array(262144).fill(2));
  assert.deepEqual(new Set(new Float32Array(await large.arrayBuffer())), new Set([1 / 512]));

  const refused = [
    [404, await fetch(`${address}/`)],
    [405, await fetch(`${address}/normalize`)],
    [415, await post("", { "content-type": "text/plain" }, "[1]")],
    [413, await post("", bytes, new Uint8Array(2 ** 20 + 4))],
    [400, await post("?norm=l3", json, "[1]")],
    [400, await post("?norm=toString", json, "[1]")],
    [400, await post("", json, "[1, ")],
    [400, await post("", json, '{"length": 1}')],
    [400, await post("", json, "[]")],
    [400, await post("", json, "[1, null]")],
    [400, await post("", json, "[1, 1e39]")],
    [400, await post("", bytes, new Uint8Array(7))],
    [400, await post("", bytes, Float32Array.of(1, Number.NaN))],
  ];
  for (const [status, response] of refused) {
    const { error } = await response.json();
    assert.equal(response.status, status, error);
    assert.ok(error.length > 10);
  }
});

test("the Deno script standardizes the columns of numbers", async () => {
  const run = (input) => print(tool("deno"), ["run", "--no-prompt", "deno/standardize.ts"], input);
  const printed = (await run(rows)).trim().split("\n");
  assert.equal(printed.length, 11);
  const table = printed.slice(1).map((line) => line.split(",").map(Number));
  for (let j = 0; j < 4; j++) {
    const column = table.map((row) => row[j]);
    // Printed to four places, each half a unit of the last off.
    closeTo(column.reduce((sum, value) => sum + value, 0) / 10, 0, 5e-5);
    closeTo(column.reduce((sum, value) => sum + value ** 2, 0) / 10, 1, 3e-4);
  }
  assert.equal(await run("name,size\na,1\nb,\nc,3\n"), "name,size\na,-1.0000\nb,\nc,1.0000\n");
  await assert.rejects(run("name,size\na\n"), /row 1 has not 2 fields/);
});

test("the Bun script finds the outliers", async () => {
  const run = (input, ...args) => print(tool("bun"), ["bun/outliers.ts", ...args], input);
  const printed = await run(rows);
  assert.match(printed, /^row 5, temperature: 38.9 .*\nrow 8, flow: 0.1 .*\n2 of 40 values beyond 3\n$/);
  assert.match(await run(rows, "30"), /^row 5.*\n1 of 40 values beyond 30\n$/);
  await assert.rejects(run("a\n1\n2\n3\nx\n"), /row 4 must hold 1 numbers, got "x"/);
});

test("the page shows the tensor of an image", { skip: !existsSync(CHROMIUM) && `no ${CHROMIUM}` }, async () => {
  const address = await serve(process.execPath, ["browser/serve.mjs", "0"]);
  assert.equal((await fetch(`${address}/../package.json`)).status, 404);
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });
  try {
    const page = await browser.newPage({ viewport: { width: 360, height: 740 } });
    const errors = [];
    page.on("pageerror", (error) => errors.push(error.message));
    await page.goto(address);
    await page.waitForSelector("#statistics tr");

    const canvas = createCanvas(224, 224);
    const context = canvas.getContext("2d");
    for (let i = 0; i < 224; i++) {
      context.fillStyle = `rgb(${i}, ${255 - i}, 90)`;
      context.fillRect(i, 0, 1, 224);
    }
    const file = { name: "stripes.png", mimeType: "image/png", buffer: canvas.toBuffer("image/png") };
    await page.setInputFiles("#file", file);
    await page.getByText("stripes.png, 224 × 224").waitFor();
    const shown = await page.locator("#statistics td").allTextContents();
    const { data } = imageToTensor(context.getImageData(0, 0, 224, 224), imagePresets.imagenet);
    for (let c = 0; c < 3; c++) {
      const plane = data.subarray(c * 224 * 224, (c + 1) * 224 * 224);
      const mean = plane.reduce((sum, value) => sum + value, 0) / plane.length;
      const variance = plane.reduce((sum, value) => sum + (value - mean) ** 2, 0) / plane.length;
      const expected = [mean, Math.sqrt(variance), Math.min(...plane.slice(0, 224)), Math.max(...plane.slice(0, 224))];
      // Shown to three places.
      expected.forEach((value, i) => {
        closeTo(Number(shown[4 * c + i]), value, 6e-4);
      });
    }
    await page.setInputFiles("#file", { name: "not.png", mimeType: "image/png", buffer: Buffer.from("no") });
    await page.getByText("not.png is not an image").waitFor();
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.equal(width, 360, "the page is wider than the screen");
    assert.deepEqual(errors, []);
  } finally {
    await browser.close();
  }
});

test("the classifier knows which way up the crops are", async () => {
  const printed = await script("onnx/classify.mjs");
  assert.ok(numberAfter("crops,", printed) >= 95, printed);
  assert.ok(numberAfter("features: ", printed) > numberAfter("one orientation, ", printed), printed);
});

test("the folded model computes the same", async () => {
  const printed = await script("onnx/fold.mjs");
  assert.match(printed, /^35 batch norms folded/);
  assert.ok(numberAfter("of a probability:", printed) <= 1e-5, printed);
  assert.ok(numberAfter("of a feature:", printed) <= 1e-5, printed);
});

test("the adapted model reads the scanned crops", async () => {
  const printed = await script("onnx/adapt.mjs");
  const [drawn, before, after] = ["as drawn", "scanned", "adapted"].map((name) => numberAfter(name, printed));
  assert.ok(drawn > 95 && before < 60 && after > before + 20, printed);
});
