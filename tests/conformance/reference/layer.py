"""Normalizers over the units of one sample: layer, RMS, group and instance normalization."""

import numpy as np
import torch
import torch.nn.functional as F

from .cases import (AFFINE_GRADS, F32, F64, OFFSETS, agree, alternating, centre, channels_first, evaluate, malformed,
                    offset_tolerance, operation, restore_layout, scale_and_shift)

# ---------------------------------------------------------------------------------------------------------------------
# layer_norm and rms_norm


def layer_norm_forward(t, attrs):
    x, shape, eps = t["x"], attrs["normalized_shape"], attrs.get("eps", 1e-5)
    dims = list(range(x.dim() - len(shape), x.dim()))
    d, _, var = centre(x, dims)
    y = d / torch.sqrt(var + eps) * t.get("weight", 1) + t.get("bias", 0)
    if x.detach().abs().max() < 1e3:
        agree(y, F.layer_norm(x, shape, t.get("weight"), t.get("bias"), eps), "layer_norm")
    return {"y": y}


def rms_norm_forward(t, attrs):
    x, shape, eps = t["x"], attrs["normalized_shape"], attrs.get("eps", 1e-5)
    dims = list(range(x.dim() - len(shape), x.dim()))
    return {"y": x / torch.sqrt((x * x).mean(dims, keepdim=True) + eps) * t.get("weight", 1)}


@operation("layer_norm")
def layer_norm(suite):
    def add(name, attrs, inputs, **options):
        suite.add(name, attrs, inputs, evaluate(layer_norm_forward, attrs, inputs, AFFINE_GRADS), **options)

    normal, affine = suite.normal, suite.affine

    for dtype in (F32, F64):
        for rows, size in ((4, 1), (3, 3), (7, 5), (3, 17), (1, 31), (1, 127)):
            add(f"{rows} rows of {size}, affine, backward", {"normalized_shape": [size], "eps": 1e-5},
                {"x": normal(dtype, (rows, size), 0.5, 2), **affine(dtype, size), "dy": normal(dtype, (rows, size))})
        add("no affine, default eps", {"normalized_shape": [9]},
            {"x": normal(dtype, (4, 9), -1, 3), "dy": normal(dtype, (4, 9))})
        add("weight only", {"normalized_shape": [6]},
            {"x": normal(dtype, (5, 6)), "weight": affine(dtype, 6)["weight"], "dy": normal(dtype, (5, 6))})
        add("bias only", {"normalized_shape": [6]},
            {"x": normal(dtype, (5, 6)), "bias": affine(dtype, 6)["bias"], "dy": normal(dtype, (5, 6))})
        add("forward only", {"normalized_shape": [10]}, {"x": normal(dtype, (2, 3, 10)), **affine(dtype, 10)})
        add("one dimension", {"normalized_shape": [13]},
            {"x": normal(dtype, 13), **affine(dtype, 13), "dy": normal(dtype, 13)})
        add("the last two of four dimensions", {"normalized_shape": [3, 5]},
            {"x": normal(dtype, (2, 3, 3, 5)), **affine(dtype, (3, 5)), "dy": normal(dtype, (2, 3, 3, 5))})
        add("all three dimensions", {"normalized_shape": [3, 5, 7]},
            {"x": normal(dtype, (3, 5, 7)), **affine(dtype, (3, 5, 7)), "dy": normal(dtype, (3, 5, 7))})
        add("five dimensions, the last three", {"normalized_shape": [2, 1, 5]},
            {"x": normal(dtype, (2, 3, 2, 1, 5)), **affine(dtype, (2, 1, 5)), "dy": normal(dtype, (2, 3, 2, 1, 5))})
        add("large eps", {"normalized_shape": [11], "eps": 0.1},
            {"x": normal(dtype, (3, 11), 0, 0.3), **affine(dtype, 11), "dy": normal(dtype, (3, 11))})
        add("eps 0", {"normalized_shape": [19], "eps": 0},
            {"x": normal(dtype, (3, 19), 0, 0.01, 6), "dy": normal(dtype, (3, 19))})

        constant = normal(dtype, (4, 12))
        constant[1], constant[3] = 0, constant[3, 0]
        add("constant rows, eps 1e-3", {"normalized_shape": [12], "eps": 1e-3},
            {"x": constant, **affine(dtype, 12), "dy": normal(dtype, (4, 12))})

        bad = normal(dtype, (4, 9))
        bad[2, 5] = np.nan
        bad[3, 1] = np.inf
        add("NaN and Infinity stay in their rows", {"normalized_shape": [9]},
            {"x": bad, **affine(dtype, 9), "dy": normal(dtype, (4, 9))})

        for base in OFFSETS[dtype]:
            width = 256 if dtype == F32 else 62
            add(f"alternating {base:g}, {base:g} + 1, backward", {"normalized_shape": [width]},
                {"x": alternating(dtype, (1, width), base), "dy": normal(dtype, (1, width), digits=3)},
                **offset_tolerance(dtype, base))
            add(f"mean {base:g}, deviation 0.5, 31 wide, backward", {"normalized_shape": [31]},
                {"x": normal(dtype, (1, 31), base, 0.5), **affine(dtype, 31), "dy": normal(dtype, (1, 31))},
                **offset_tolerance(dtype, base))

    add("alternating 1e6, 1e6 + 1, 1024 long", {"normalized_shape": [1024]},
        {"x": alternating(F32, (1, 1024), 1e6)}, **offset_tolerance(F32, 1e6))
    # Longer than any block a kernel may add up at a time; whole numbers and few outputs keep the file small.
    add("one row of 1023, backward", {"normalized_shape": [1023]},
        {"x": normal(F32, (1, 1023), 3, 1, 2), "dy": normal(F32, (1, 1023), digits=2)})
    add("one row of 5003", {"normalized_shape": [5003]}, {"x": normal(F32, (1, 5003), 9, 3, 0)}, only=["y"])
    add("one row of 4211, backward", {"normalized_shape": [4211]},
        {"x": normal(F32, (1, 4211), 9, 3, 0), "dy": normal(F32, (1, 4211), 0, 3, 0)}, only=["dx"])
    add("many short rows, sums of backward", {"normalized_shape": [3]},
        {"x": normal(F32, (2111, 3), 3, 3, 0), **affine(F32, 3), "dy": normal(F32, (2111, 3), 0, 3, 0)},
        only=["dweight", "dbias"])
    huge = {"x": normal(F32, (3, 10)) * F32(1e24), **affine(F32, 10), "dy": normal(F32, (3, 10))}
    add("large numbers, whose squares overflow float32", {"normalized_shape": [10]}, huge, only=["y", "dweight"])
    add("large numbers, whose squares overflow float32, dx", {"normalized_shape": [10]}, huge, only=["dx"], scale=4e-24)

    x = normal(F32, (3, 4))
    sample_errors(suite, x, {"normalized_shape": [4]}, 4)
    suite.error("normalized_shape is not the end of the shape", {"normalized_shape": [3]}, {"x": x})
    suite.error("normalized_shape is longer than the shape", {"normalized_shape": [2, 3, 4]}, {"x": x})
    suite.error("normalized_shape is empty", {"normalized_shape": []}, {"x": x})
    suite.error("bias has another length", {"normalized_shape": [4]}, {"x": x, "bias": normal(F32, 12)})


@operation("rms_norm")
def rms_norm(suite):
    grads = {"dx": "x", "dweight": "weight"}

    def add(name, attrs, inputs, **options):
        suite.add(name, attrs, inputs, evaluate(rms_norm_forward, attrs, inputs, grads), **options)

    normal = suite.normal

    def weight(dtype, shape):
        return suite.affine(dtype, shape)["weight"]

    for dtype in (F32, F64):
        for rows, size in ((4, 1), (3, 3), (7, 5), (3, 17), (1, 31), (1, 127)):
            add(f"{rows} rows of {size}, weight, backward", {"normalized_shape": [size], "eps": 1e-5},
                {"x": normal(dtype, (rows, size), 0.5, 2), "weight": weight(dtype, size),
                 "dy": normal(dtype, (rows, size))})
        add("no weight, default eps", {"normalized_shape": [9]},
            {"x": normal(dtype, (4, 9), -1, 3), "dy": normal(dtype, (4, 9))})
        add("forward only", {"normalized_shape": [10]}, {"x": normal(dtype, (2, 3, 10)), "weight": weight(dtype, 10)})
        add("one dimension", {"normalized_shape": [13]},
            {"x": normal(dtype, 13), "weight": weight(dtype, 13), "dy": normal(dtype, 13)})
        add("the last two of four dimensions", {"normalized_shape": [3, 5], "eps": 1e-6},
            {"x": normal(dtype, (2, 3, 3, 5)), "weight": weight(dtype, (3, 5)), "dy": normal(dtype, (2, 3, 3, 5))})
        add("five dimensions, all of them", {"normalized_shape": [2, 3, 2, 1, 5]},
            {"x": normal(dtype, (2, 3, 2, 1, 5)), "weight": weight(dtype, (2, 3, 2, 1, 5)),
             "dy": normal(dtype, (2, 3, 2, 1, 5))})
        add("eps 0", {"normalized_shape": [19], "eps": 0},
            {"x": normal(dtype, (3, 19), 0, 0.01, 6), "dy": normal(dtype, (3, 19))})
        zero = normal(dtype, (3, 12))
        zero[1] = 0
        add("a row of zeros, eps 1e-3", {"normalized_shape": [12], "eps": 1e-3},
            {"x": zero, "weight": weight(dtype, 12), "dy": normal(dtype, (3, 12))})
        bad = normal(dtype, (4, 9))
        bad[2, 5] = np.nan
        add("NaN stays in its row", {"normalized_shape": [9]},
            {"x": bad, "weight": weight(dtype, 9), "dy": normal(dtype, (4, 9))})
        # Here the mean counts as signal: y is near 1 and dx is a small difference of large numbers.
        for base in (1e3, 1e6):
            tensors = {"x": alternating(dtype, (2, 64), base), "dy": normal(dtype, (2, 64), digits=3)}
            add(f"alternating {base:g}, {base:g} + 1", {"normalized_shape": [64]}, tensors, only=["y"])
            add(f"alternating {base:g}, {base:g} + 1, backward", {"normalized_shape": [64]}, tensors, only=["dx"],
                scale=4 / base)

    # Longer than any block a kernel may add up at a time; whole numbers and few outputs keep the file small.
    add("one row of 1023, backward", {"normalized_shape": [1023]},
        {"x": normal(F32, (1, 1023), 1, 1, 2), "dy": normal(F32, (1, 1023), digits=2)})
    add("many short rows, sums of backward", {"normalized_shape": [3]},
        {"x": normal(F32, (2111, 3), 3, 3, 0), "weight": weight(F32, 3), "dy": normal(F32, (2111, 3), 0, 3, 0)},
        only=["dweight"])
    huge = {"x": normal(F32, (3, 10)) * F32(1e24), "weight": weight(F32, 10), "dy": normal(F32, (3, 10))}
    add("large numbers, whose squares overflow float32", {"normalized_shape": [10]}, huge, only=["y", "dweight"])
    add("large numbers, whose squares overflow float32, dx", {"normalized_shape": [10]}, huge, only=["dx"], scale=4e-24)

    x = normal(F32, (3, 4))
    sample_errors(suite, x, {"normalized_shape": [4]}, 4)
    suite.error("normalized_shape is not the end of the shape", {"normalized_shape": [3]}, {"x": x})
    suite.error("normalized_shape is empty", {"normalized_shape": []}, {"x": x})


def sample_errors(suite, x, attrs, parameters):
    """Bad input that every normalizer of this module refuses; `parameters` is the length of weight."""
    dtype = x.dtype
    one = np.ones(parameters, dtype)
    suite.error("x without elements", attrs, {"x": np.zeros((0,) + x.shape[1:], dtype)})
    suite.error("fewer data than the shape says", attrs, {"x": malformed(x.ravel()[:-1], x.shape)})
    suite.error("more data than the shape says", attrs, {"x": malformed(np.append(x, x.ravel()[:1]), x.shape)})
    suite.error("weight too long", attrs, {"x": x, "weight": np.append(one, one[:1])})
    suite.error("weight too short", attrs, {"x": x, "weight": one[:-1]})
    suite.error("negative eps", {**attrs, "eps": -1e-3}, {"x": x})
    suite.error("dy of another shape", attrs, {"x": x, "dy": np.ones(x.shape[:-1] + (x.shape[-1] + 1,), dtype)})


# ---------------------------------------------------------------------------------------------------------------------
# group_norm and instance_norm


def group_norm_forward(t, attrs):
    x, groups, eps = channels_first(t["x"], attrs), attrs["num_groups"], attrs.get("eps", 1e-5)
    grouped = x.reshape(x.shape[0], groups, -1)
    d, _, var = centre(grouped, [2])
    y = scale_and_shift((d / torch.sqrt(var + eps)).reshape(x.shape), t)
    if x.detach().abs().max() < 1e3 and grouped.shape[2] > 1:
        agree(y, F.group_norm(x, groups, t.get("weight"), t.get("bias"), eps), "group_norm")
    return {"y": restore_layout(y, attrs)}


def instance_norm_forward(t, attrs):
    x = channels_first(t["x"], attrs)
    outputs = group_norm_forward(t, {**attrs, "num_groups": x.shape[1]})
    if x.detach().abs().max() < 1e3:
        theirs = F.instance_norm(x, weight=t.get("weight"), bias=t.get("bias"), eps=attrs.get("eps", 1e-5))
        agree(outputs["y"], restore_layout(theirs, attrs), "instance_norm")
    return outputs


def layouts(shape):
    """A channels-first shape with its attribute, then its channels-last twin."""
    yield shape, "", {}
    yield (shape[0], *shape[2:], shape[1]), ", channels-last", {"layout": "channels-last"}


@operation("group_norm")
def group_norm(suite):
    def add(name, attrs, inputs, **options):
        suite.add(name, attrs, inputs, evaluate(group_norm_forward, attrs, inputs, AFFINE_GRADS), **options)

    normal, affine = suite.normal, suite.affine

    for dtype in (F32, F64):
        for groups, shape in ((1, (3, 5)), (3, (4, 6)), (2, (2, 6, 5)), (5, (1, 5, 17)), (3, (1, 9, 3, 5)),
                              (7, (1, 7, 1, 31)), (2, (1, 6, 2, 3, 5))):
            for dims, suffix, layout in layouts(shape):
                add(f"{list(shape)}, {groups} groups, affine, backward{suffix}",
                    {"num_groups": groups, "eps": 1e-5, **layout},
                    {"x": normal(dtype, dims, 0.5, 2), **affine(dtype, shape[1]), "dy": normal(dtype, dims)})
        add("no affine, default eps", {"num_groups": 2},
            {"x": normal(dtype, (2, 4, 7)), "dy": normal(dtype, (2, 4, 7))})
        add("weight only", {"num_groups": 2},
            {"x": normal(dtype, (2, 4, 7)), "weight": affine(dtype, 4)["weight"], "dy": normal(dtype, (2, 4, 7))})
        add("bias only, channels-last", {"num_groups": 2, "layout": "channels-last"},
            {"x": normal(dtype, (2, 7, 4)), "bias": affine(dtype, 4)["bias"], "dy": normal(dtype, (2, 7, 4))})
        add("groups of one value give the bias", {"num_groups": 3},
            {"x": normal(dtype, (4, 3)), **affine(dtype, 3), "dy": normal(dtype, (4, 3))})
        for dims, suffix, layout in layouts((2, 4, 9)):
            bad = normal(dtype, dims)
            bad[1, 2, 3] = np.nan
            add(f"NaN stays in its group{suffix}", {"num_groups": 2, **layout},
                {"x": bad, **affine(dtype, 4), "dy": normal(dtype, dims)}, only=["y", "dx", "dbias"])
        for base in (1e2,) + OFFSETS[dtype]:
            spatial = 64 if dtype == F32 else 16
            add(f"alternating {base:g}, {base:g} + 1, backward", {"num_groups": 2},
                {"x": alternating(dtype, (1, 4, spatial), base), "dy": normal(dtype, (1, 4, spatial), digits=3)},
                **offset_tolerance(dtype, base))
            add(f"mean {base:g}, deviation 0.5, channels-last, backward", {"num_groups": 3, "layout": "channels-last"},
                {"x": normal(dtype, (2, 5, 6), base, 0.5), **affine(dtype, 6), "dy": normal(dtype, (2, 5, 6))},
                **offset_tolerance(dtype, base))

    # Longer than any block a kernel may add up at a time; whole numbers and few outputs keep the file small.
    add("large groups, sums of backward", {"num_groups": 1},
        {"x": normal(F32, (1, 3, 1373), 3, 3, 0), **affine(F32, 3), "dy": normal(F32, (1, 3, 1373), 0, 3, 0)},
        only=["dweight", "dbias"])
    add("large groups, channels-last, sums of backward", {"num_groups": 2, "layout": "channels-last"},
        {"x": normal(F32, (1, 4801, 2), 3, 3, 0), **affine(F32, 2), "dy": normal(F32, (1, 4801, 2), 0, 3, 0)},
        only=["dweight", "dbias"])

    x = normal(F32, (2, 4, 3))
    sample_errors(suite, x, {"num_groups": 2}, 4)
    suite.error("num_groups does not divide the channels", {"num_groups": 3}, {"x": x})
    suite.error("num_groups 0", {"num_groups": 0}, {"x": x})
    suite.error("num_groups negative", {"num_groups": -2}, {"x": x})
    suite.error("num_groups larger than the channels", {"num_groups": 8}, {"x": x})
    suite.error("num_groups is not whole", {"num_groups": 1.5}, {"x": x})
    suite.error("bias too long", {"num_groups": 2}, {"x": x, "bias": np.ones(8, F32)})
    suite.error("x has one dimension", {"num_groups": 1}, {"x": normal(F32, 4)})


@operation("instance_norm")
def instance_norm(suite):
    def add(name, attrs, inputs, **options):
        suite.add(name, attrs, inputs, evaluate(instance_norm_forward, attrs, inputs, AFFINE_GRADS), **options)

    normal, affine = suite.normal, suite.affine

    for dtype in (F32, F64):
        for shape in ((1, 1, 3), (3, 5, 5), (1, 3, 17), (2, 3, 3, 5), (1, 7, 1, 31), (1, 2, 127), (1, 3, 2, 3, 5)):
            for dims, suffix, layout in layouts(shape):
                add(f"{list(shape)}, affine, backward{suffix}", {"eps": 1e-5, **layout},
                    {"x": normal(dtype, dims, 0.5, 2), **affine(dtype, shape[1]), "dy": normal(dtype, dims)})
        add("no affine, default eps", {}, {"x": normal(dtype, (2, 4, 7)), "dy": normal(dtype, (2, 4, 7))})
        add("weight only", {"eps": 1e-3},
            {"x": normal(dtype, (2, 4, 7)), "weight": affine(dtype, 4)["weight"], "dy": normal(dtype, (2, 4, 7))})
        for dims, suffix, layout in layouts((2, 4, 9)):
            bad = normal(dtype, dims)
            bad[1, 2, 3] = np.nan
            add(f"NaN stays in its instance{suffix}", layout,
                {"x": bad, **affine(dtype, 4), "dy": normal(dtype, dims)}, only=["y", "dx", "dbias"])
        for base in OFFSETS[dtype]:
            for dims, suffix, layout in layouts((1, 2, 128 if dtype == F32 else 16)):
                if layout and base not in (1e4, 1e6):
                    continue
                # Along the spatial axis, whichever it is.
                x = np.moveaxis(alternating(dtype, (1, 2, max(dims)), base), 1, -1 if layout else 1)
                add(f"alternating {base:g}, {base:g} + 1, backward{suffix}", layout,
                    {"x": x, "dy": normal(dtype, dims, digits=3)}, **offset_tolerance(dtype, base))
            add(f"mean {base:g}, deviation 0.5, backward", {},
                {"x": normal(dtype, (1, 3, 17), base, 0.5), **affine(dtype, 3), "dy": normal(dtype, (1, 3, 17))},
                **offset_tolerance(dtype, base))

    # Longer than any block a kernel may add up at a time; whole numbers and few outputs keep the file small.
    add("large instances, sums of backward", {},
        {"x": normal(F32, (1, 1, 61, 71), 3, 3, 0), **affine(F32, 1), "dy": normal(F32, (1, 1, 61, 71), 0, 3, 0)},
        only=["dweight", "dbias"])
    add("large instances, channels-last, sums of backward", {"layout": "channels-last"},
        {"x": normal(F32, (1, 4801, 2), 3, 3, 0), **affine(F32, 2), "dy": normal(F32, (1, 4801, 2), 0, 3, 0)},
        only=["dweight", "dbias"])

    x = normal(F32, (2, 4, 3))
    sample_errors(suite, x, {}, 4)
    suite.error("one spatial value", {}, {"x": normal(F32, (2, 4, 1))})
    suite.error("no spatial dimension", {}, {"x": normal(F32, (2, 4))})
    suite.error("one spatial value, channels-last", {"layout": "channels-last"}, {"x": normal(F32, (2, 1, 1, 4))})
    suite.error("bias too long", {}, {"x": x, "bias": np.ones(8, F32)})
