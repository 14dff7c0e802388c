/** Browsers: plain modules in Chromium, Firefox and WebKitGTK, bundles in Chromium. Those that are not installed are skipped. */
import { spawn } from "node:child_process";
import { createReadStream, existsSync, readdirSync, statSync } from "node:fs";
import { createServer } from "node:http";
import path from "node:path";
import { bundleByVite, bundlers, writeBundlePage } from "./application.mjs";
import { freePort, patiently } from "./processes.mjs";

const LIMIT = 10 * 60 * 1000;
const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};
const found = (...files) => files.find((file) => existsSync(file));

const chromium = found("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome");
const firefox = found("/usr/bin/firefox-esr", "/usr/bin/firefox");
const webkitDriver = found("/usr/bin/WebKitWebDriver");

/** Serves the application, opens one of its pages by `open`, and gives what the page sends back. */
async function resultOf({ folder }, page, open, headers) {
  let take;
  const result = new Promise((resolve, reject) => {
    take = resolve;
    setTimeout(() => reject(new Error(`no result from ${page}`)), LIMIT).unref();
  });
  const server = createServer((request, response) => {
    if (request.url === "/result") {
      const parts = [];
      request.on("data", (part) => parts.push(part));
      request.on("end", () => {
        response.end();
        take(JSON.parse(Buffer.concat(parts).toString()));
      });
      return;
    }
    const file = path.join(folder, new URL(request.url, "http://localhost").pathname);
    if (!existsSync(file) || !statSync(file).isFile()) response.writeHead(404).end();
    else {
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
      response.setHeader("content-type", TYPES[path.extname(file)] ?? "application/octet-stream");
      createReadStream(file).pipe(response);
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await open(`http://127.0.0.1:${server.address().port}/${page}`, result);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

async function inChromium(url, result) {
  const { chromium: launcher } = await import("playwright-core");
  const args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"];
  const browser = await launcher.launch({ executablePath: chromium, args });
  try {
    const page = await browser.newPage();
    const broken = new Promise((_, reject) => page.on("pageerror", reject));
    await page.goto(url, { timeout: LIMIT });
    return await Promise.race([result, broken]);
  } finally {
    await browser.close();
  }
}

async function inFirefox(url, result) {
  const { default: puppeteer } = await import("puppeteer-core");
  const browser = await puppeteer.launch({ browser: "firefox", executablePath: firefox, headless: true });
  try {
    const page = await browser.newPage();
    await page.goto(url, { timeout: LIMIT });
    return await result;
  } finally {
    await browser.close();
  }
}

async function inWebKit(url, result) {
  const port = await freePort();
  const environment = {
    LIBGL_ALWAYS_SOFTWARE: "1",
    WEBKIT_DISABLE_COMPOSITING_MODE: "1",
    // Safari has SharedArrayBuffer in isolated pages; this build of its engine wants to be asked.
    JSC_useSharedArrayBuffer: "1",
  };
  const driver = spawn("xvfb-run", ["-a", webkitDriver, `--port=${port}`, "--host=127.0.0.1"], {
    stdio: "ignore",
    detached: true,
    env: { ...process.env, ...environment },
  });
  const call = async (method, where, body) => {
    const response = await fetch(`http://127.0.0.1:${port}/${where}`, { method, body: body && JSON.stringify(body) });
    const { value } = await response.json();
    if (!response.ok) throw new Error(value.message);
    return value;
  };
  try {
    await patiently(() => call("GET", "status"));
    const { sessionId } = await call("POST", "session", { capabilities: { alwaysMatch: webkitOptions() } });
    try {
      await call("POST", `session/${sessionId}/url`, { url });
      return await result;
    } finally {
      await call("DELETE", `session/${sessionId}`);
    }
  } finally {
    // The driver and the display that it runs in.
    process.kill(-driver.pid);
  }
}

function webkitOptions() {
  const folders = readdirSync("/usr/lib").flatMap((name) =>
    ["4.1", "4.0"].map((v) => `/usr/lib/${name}/webkit2gtk-${v}`),
  );
  const binary = found(...folders.map((folder) => `${folder}/MiniBrowser`));
  return binary === undefined ? {} : { "webkitgtk:browserOptions": { binary, args: ["--automation"] } };
}

const missing = (name) => `${name} is not installed`;
const inBrowser = (name, binary, open, page, { suite, prepare, headers = {} }) => ({
  name,
  suite,
  async run(app) {
    if (binary === undefined) return missing(name.split(",")[0]);
    await prepare?.(app);
    return resultOf(app, page, open, headers);
  },
});

/** The headers of pages that may share memory between threads. */
const isolated = (embedder) => ({
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": embedder,
});

/** All that a page of the package needs to be allowed. */
const policy = {
  "content-security-policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src blob:",
};

const inBrowsers = [
  ["Chromium", chromium, inChromium],
  ["Firefox", firefox, inFirefox],
  ["WebKitGTK", webkitDriver && found("/usr/bin/xvfb-run") && webkitDriver, inWebKit],
];

export const browsers = [
  ...inBrowsers.flatMap(([name, binary, open]) => [
    inBrowser(`${name}, plain modules`, binary, open, "plain.html", { suite: "package" }),
    inBrowser(`${name}, threads`, binary, open, "plain-threads.html", {
      suite: "threads",
      headers: isolated("require-corp"),
    }),
    inBrowser(`${name}, threads are refused without the headers`, binary, open, "plain-threads.html", {}),
  ]),
  ...Object.entries(bundlers).map(([name, bundle]) =>
    inBrowser(`Chromium, ${name}`, chromium, inChromium, `bundles/${name}/index.html`, {
      suite: "package",
      async prepare(app) {
        await bundle(app);
        if (name !== "vite") writeBundlePage(app, name);
      },
    }),
  ),
  inBrowser("Chromium, threads, vite", chromium, inChromium, "bundles/vite-threads/threads.html", {
    suite: "threads",
    prepare: (app) => bundleByVite(app, "threads.html", "vite-threads"),
    headers: { ...isolated("credentialless"), ...policy },
  }),
];
