/**
 * Serves the page on this machine: `npm run browser`, or `node browser/serve.mjs [port]`. Stops by itself after ten minutes
 * without a request.
 *
 * Any static host does: the page is its three files and the file of the package that its import map names.
 */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";

const IDLE = 10 * 60 * 1000;
const HTML = "text/html; charset=utf-8";
const JAVASCRIPT = "text/javascript; charset=utf-8";

const here = (name) => new URL(name, import.meta.url);
const FILES = {
  "/": [here("index.html"), HTML],
  "/page.css": [here("page.css"), "text/css; charset=utf-8"],
  "/page.mjs": [here("page.mjs"), JAVASCRIPT],
  "/evenkeel.js": [import.meta.resolve("evenkeel"), JAVASCRIPT],
};

const port = Number(process.argv[2] ?? 8080);
if (!(Number.isInteger(port) && port >= 0 && port < 65536)) {
  console.error(`the port must be a whole number from 0 to 65535, got "${process.argv[2]}"`);
  process.exit(1);
}

const server = createServer((request, response) => {
  idle.refresh();
  const pathname = request.url.split("?")[0];
  if (!Object.hasOwn(FILES, pathname)) {
    response.writeHead(404, { "content-type": "text/plain" }).end("not found\n");
    return;
  }
  const [file, type] = FILES[pathname];
  response.writeHead(200, { "content-type": type, "cache-control": "no-store" }).end(readFileSync(fileURLToPath(file)));
});
const idle = setTimeout(() => {
  server.close();
  server.closeAllConnections();
}, IDLE);
server.on("error", (error) => {
  console.error(error.message);
  process.exit(1);
});
server.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
