/**
 * The kernels, in parts by what they go over or work out: a folder each, and a module of its own in the package's usual
 * entry, so that applications carry the parts that they use. All of them in one module are what the other entries take.
 *
 * A name is <row|plane|col|each><Op>_<f32|f64>; arguments go outputs, inputs, counts in elements, scalars. `row` works
 * along contiguous runs, `plane` on runs and groups of them in images, `col` across rows, `each` on elements by themselves.
 *
 * The build instantiates every exported function over one type T for f32 and f64, in the part's kernels.generated.ts;
 * functions named `run...` are parts of kernels, for one contiguous run, and are left out. What has but one form is
 * listed in the part's index.ts. Where a file takes something from another part, both parts have the code.
 */
export * from "./columns";
export * from "./data";
export * from "./functions";
export * from "./heap";
export * from "./linear";
export * from "./planes";
export * from "./rows";
