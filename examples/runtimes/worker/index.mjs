/**
 * A Cloudflare Worker that normalizes an embedding: `npm run worker`, then
 *
 *     curl http://127.0.0.1:8787/normalize -H 'content-type: application/json' -d '[3, 4]'           # [0.6, 0.8]
 *     curl 'http://127.0.0.1:8787/normalize?norm=layer' -H 'content-type: application/json' -d '[3, 4]'
 *
 * The embedding is a JSON array of numbers or, as application/octet-stream, the bytes of f32 values, little-endian; the
 * answer is of the same kind. norm is l2 (default; unit length) or layer (mean 0, variance 1).
 */
import { layerNorm, normalize } from "evenkeel";

const MOST_BYTES = 1 << 20;
const NORMS = {
  l2: (row) => normalize(row),
  layer: (row) => layerNorm(row, { normalizedShape: row.shape[1] }),
};

/** What is wrong with a request, as its answer. */
class Refusal extends Error {
  constructor(status, message, headers = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

/**
 * The body, kept up to its limit: Content-Length may be missing or wrong. What is beyond is read and dropped, since a client
 * that is cut off while it sends never sees the answer.
 */
async function readBody(request) {
  const parts = [];
  let length = 0;
  for await (const part of request.body ?? []) {
    length += part.byteLength;
    if (length <= MOST_BYTES) parts.push(part);
  }
  if (length > MOST_BYTES) throw new Refusal(413, `the body must have at most ${MOST_BYTES} bytes, got ${length}`);
  const body = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    body.set(part, at);
    at += part.byteLength;
  }
  return body;
}

function parseJson(body) {
  let list;
  try {
    list = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (error) {
    throw new Refusal(400, `the body must be JSON: ${error.message}`);
  }
  if (!Array.isArray(list) || !list.every((value) => typeof value === "number")) {
    throw new Refusal(400, "the body must be a JSON array of numbers");
  }
  return Float32Array.from(list);
}

function parseFloats(body) {
  if (body.length % 4 !== 0) {
    throw new Refusal(400, `the body must be f32 values of 4 bytes each, got ${body.length} bytes`);
  }
  return new Float32Array(body.buffer);
}

/** Content types, each with what reads a body of it and what writes the answer. */
const KINDS = {
  "application/json": { parse: parseJson, format: (values) => JSON.stringify([...values]) },
  "application/octet-stream": { parse: parseFloats, format: (values) => values },
};

async function answer(request) {
  const url = new URL(request.url);
  if (url.pathname !== "/normalize") throw new Refusal(404, "there is only /normalize");
  if (request.method !== "POST") throw new Refusal(405, "POST an embedding", { allow: "POST" });
  const name = url.searchParams.get("norm") ?? "l2";
  if (!Object.hasOwn(NORMS, name)) throw new Refusal(400, "norm must be l2 or layer");
  const type = (request.headers.get("content-type") ?? "").split(";")[0].trim().toLowerCase();
  if (!Object.hasOwn(KINDS, type)) {
    throw new Refusal(415, "content-type must be application/json or application/octet-stream");
  }
  const { parse, format } = KINDS[type];
  const data = parse(await readBody(request));
  if (data.length === 0) throw new Refusal(400, "the embedding must have at least one value");
  const wrong = data.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) throw new Refusal(400, `value ${wrong} must be a finite number within f32, got ${data[wrong]}`);
  const result = NORMS[name]({ data, shape: [1, data.length] });
  return new Response(format(result.data), { headers: { "content-type": type } });
}

export default {
  async fetch(request) {
    try {
      return await answer(request);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return Response.json({ error: error.message }, { status: error.status, headers: error.headers });
    }
  },
};
