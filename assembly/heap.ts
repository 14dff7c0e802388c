/** First byte that is not static data. */
export function heapBase(): usize {
  return __heap_base;
}
