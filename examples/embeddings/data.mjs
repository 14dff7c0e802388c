/** Made-up embeddings with the faults of real ones. */
import { matmul } from "evenkeel";

/** Uniform pseudo-random numbers in [0, 1) from a seed (xorshift). */
export function uniform(seed) {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** Standard normal pseudo-random numbers (Box, Muller), each times what `scale` says for its place. */
function normals(length, next, scale = () => 1) {
  return Float32Array.from({ length }, (_, i) => {
    const radius = Math.sqrt(-2 * Math.log(1 - next()));
    return radius * Math.cos(2 * Math.PI * next()) * scale(i);
  });
}

/**
 * Embeddings [n, d] of texts on `topics` topics: a mean that all share, the topic, and everything else that a text
 * says, most of it along a few directions (the j-th has a variance of 1/j).
 */
export function makeEmbeddings({ n, d, topics, seed }) {
  const next = uniform(seed);
  const total = Array.from({ length: d }, (_, j) => 1 / (j + 1)).reduce((a, b) => a + b);
  const length = (i) => Math.sqrt(1 / (1 + (i % d)) / total);
  const mixing = normals(d * d, next, () => 1 / Math.sqrt(d));
  const rows = matmul({ data: normals(n * d, next, length), shape: [n, d] }, { data: mixing, shape: [d, d] });
  const common = normals(d, next, () => Math.sqrt(1.8 / d));
  const centers = normals(topics * d, next, () => Math.sqrt(0.12 / d));
  const topicOf = Uint16Array.from({ length: n }, () => Math.floor(next() * topics));
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < d; j++) rows.data[i * d + j] += common[j] + centers[topicOf[i] * d + j];
  }
  return { rows, topicOf };
}
