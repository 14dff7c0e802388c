"""Normalizers of weights, and folding a normalizer into the weights before it."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from .cases import F32, F64, agree, evaluate, malformed, operation

# ---------------------------------------------------------------------------------------------------------------------
# fold_batch_norm


def fold_batch_norm_forward(t, attrs):
    """The weights that give the batch normalizer's eval output at once."""
    w, axis = t["w"], attrs.get("axis", 0)
    factor = t["weight"] / torch.sqrt(t["running_var"] + attrs.get("eps", 1e-5))
    shape = [1] * w.dim()
    shape[axis] = -1
    b = t.get("b", torch.zeros_like(t["bias"]))
    return {"w": w * factor.reshape(shape), "b": (b - t["running_mean"]) * factor + t["bias"]}


def check_fold(attrs, inputs):
    """Compares with PyTorch's fusion where that knows the axis."""
    if attrs.get("axis", 0) > 1:
        return
    t = {key: torch.tensor(np.asarray(value, F64)) for key, value in inputs.items() if value is not None}
    w, b = fuse_conv_bn_weights(t["w"], t.get("b"), t["running_mean"], t["running_var"], attrs.get("eps", 1e-5),
                                t["weight"], t["bias"], transpose=attrs.get("axis", 0) == 1)
    ours = fold_batch_norm_forward(t, attrs)
    agree(ours["w"], w, "fold w")
    agree(ours["b"], b, "fold b")


@operation("fold_batch_norm")
def fold_batch_norm(suite):
    def add(name, attrs, inputs, **options):
        check_fold(attrs, inputs)
        suite.add(name, attrs, inputs, evaluate(fold_batch_norm_forward, attrs, inputs), **options)

    normal = suite.normal

    def normalizer(dtype, channels):
        return {**suite.affine(dtype, channels), **suite.running(dtype, channels)}

    for dtype in (F32, F64):
        for shape in ((1, 1), (3, 5), (5, 17), (31, 3)):
            add(f"linear {list(shape)}", {"eps": 1e-5, "axis": 0},
                {"w": normal(dtype, shape), "b": normal(dtype, shape[0]), **normalizer(dtype, shape[0])})
        for shape, axis in (((5, 3, 3), 0), ((5, 2, 3, 3), 0), ((5, 1, 3, 3), 0), ((2, 7, 3, 1), 1), ((3, 5, 2, 7), 3),
                            ((3, 2, 1, 2, 5), 2), ((2, 1, 3, 2, 3), 4)):
            add(f"convolution {list(shape)}, axis {axis}", {"eps": 1e-3, "axis": axis},
                {"w": normal(dtype, shape), "b": normal(dtype, shape[axis]), **normalizer(dtype, shape[axis])})
        add("no b, default attributes", {}, {"w": normal(dtype, (5, 3)), **normalizer(dtype, 5)})
        add("no b, axis 1", {"axis": 1}, {"w": normal(dtype, (3, 5)), **normalizer(dtype, 5)})
        # b - running_mean must not be rounded to float32 halfway: what is left is a difference of large numbers.
        far = normalizer(dtype, 3)
        far["running_mean"] = normal(dtype, 3, 1e4, 1)
        add("b near a large running_mean", {},
            {"w": normal(dtype, (3, 4)), "b": far["running_mean"] + dtype(0.5), **far})
        small = normalizer(dtype, 3)
        small["running_var"] = np.array([0, 1e-8, 1e4], dtype)
        add("running_var from 0 to 1e4", {"eps": 1e-5}, {"w": normal(dtype, (3, 4)), "b": normal(dtype, 3), **small})
    add("longer rows", {}, {"w": normal(F32, (3, 31, 3, 1)), "b": normal(F32, 3), **normalizer(F32, 3)})

    w, b, layer = normal(F32, (4, 3)), normal(F32, 4), normalizer(F32, 4)
    suite.error("w without elements", {}, {"w": np.zeros((4, 0), F32), "b": b, **layer})
    suite.error("fewer data than the shape says", {}, {"w": malformed(w.ravel()[:-1], w.shape), "b": b, **layer})
    suite.error("b of another length", {}, {"w": w, "b": b[:3], **layer})
    suite.error("axis beyond the shape", {"axis": 2}, {"w": w, "b": b, **layer})
    suite.error("axis of another length", {"axis": 1}, {"w": w, "b": b, **layer})
    suite.error("negative eps", {"eps": -1}, {"w": w, "b": b, **layer})
    for key in ("weight", "bias", "running_mean", "running_var"):
        suite.error(f"{key} of another length", {}, {"w": w, "b": b, **layer, key: layer[key][:3]})


# ---------------------------------------------------------------------------------------------------------------------
# weight_norm


def weight_norm_forward(t, attrs):
    v, dim = t["v"], attrs.get("dim", 0)
    others = [axis for axis in range(v.dim()) if axis != dim]
    norm = torch.sqrt((v * v).sum(others, keepdim=True))
    g = t["g"] if dim is None else t["g"].reshape([-1 if axis == dim else 1 for axis in range(v.dim())])
    return {"w": g * v / torch.clamp(norm, min=1e-12)}


@operation("weight_norm")
def weight_norm(suite):
    def add(name, attrs, inputs, **options):
        outputs = evaluate(weight_norm_forward, attrs, inputs, {"dv": "v", "dg": "g"}, (("dw", "w"),))
        dim = attrs.get("dim", 0)
        v = torch.tensor(np.asarray(inputs["v"], F64))
        if dim is not None and (v != 0).any(1).all():
            shape = [-1 if axis == dim else 1 for axis in range(v.dim())]
            g = torch.tensor(np.asarray(inputs["g"], F64)).reshape(shape)
            agree(outputs["w"], torch._weight_norm(v, g, dim), "weight_norm")
        suite.add(name, attrs, inputs, outputs, **options)

    normal = suite.normal

    def tensors(dtype, shape, dim):
        return {"v": normal(dtype, shape, 0, 0.5), "g": normal(dtype, () if dim is None else shape[dim], 1, 0.5),
                "dw": normal(dtype, shape)}

    for dtype in (F32, F64):
        for shape, dim in (((3, 5), 0), ((5, 17), 0), ((5, 3), 1), ((3, 2, 3, 3), 0), ((2, 5, 3), 1), ((2, 3, 5), 2),
                           ((1, 31), 0), ((3, 5), None), ((2, 3, 1, 5), None)):
            add(f"{list(shape)}, dim {dim}", {"dim": dim}, tensors(dtype, shape, dim))
        add("default dim", {}, tensors(dtype, (4, 3), 0))
        forward = tensors(dtype, (4, 3), 0)
        del forward["dw"]
        add("forward only", {"dim": 0}, forward)
        zero = {key: value.copy() for key, value in forward.items()}
        zero["v"][1], zero["g"][2] = 0, 0
        add("a row of zeros, a g of zero", {"dim": 0}, zero)
    huge = tensors(F32, (3, 5), 0)
    huge["v"] *= F32(1e24)
    add("squares overflow float32", {"dim": 0}, huge, only=["w", "dg"])

    inputs = tensors(F32, (4, 3), 0)
    suite.error("dim beyond the shape", {"dim": 2}, inputs)
    suite.error("g of another length", {"dim": 0}, {**inputs, "g": normal(F32, 3)})
    suite.error("g for dim null holds several numbers", {"dim": None}, inputs)
    suite.error("dw of another shape", {"dim": 0}, {**inputs, "dw": normal(F32, (4, 4))})
    suite.error("v without elements", {"dim": 0}, {"v": np.zeros((4, 0), F32), "g": inputs["g"]})
    suite.error("fewer data than the shape says", {"dim": 0},
                {**inputs, "v": malformed(inputs["v"].ravel()[:-1], (4, 3))})


# ---------------------------------------------------------------------------------------------------------------------
# spectral_norm


def spectral_norm_forward(t, attrs):
    w, u, dim, eps = t["w"], t["u"], attrs.get("dim", 0), attrs.get("eps", 1e-12)
    matrix = w.movedim(dim, 0).reshape(w.shape[dim], -1)
    fixed = matrix.detach()
    for _ in range(attrs.get("n_power_iterations", 1)):
        v = F.normalize(fixed.T @ u, dim=0, eps=eps)
        u = F.normalize(fixed @ v, dim=0, eps=eps)
    sigma = u @ matrix @ v
    return {"w_normalized": w / sigma, "u": u, "v": v, "sigma": sigma}


@operation("spectral_norm")
def spectral_norm(suite):
    def add(name, attrs, inputs, **options):
        outputs = evaluate(spectral_norm_forward, attrs, inputs, {"dw": "w"}, (("dw_normalized", "w_normalized"),))
        if attrs.get("n_power_iterations") == 200:
            dim = attrs.get("dim", 0)
            matrix = np.moveaxis(np.asarray(inputs["w"], F64), dim, 0).reshape(inputs["w"].shape[dim], -1)
            agree(outputs["sigma"], np.linalg.norm(matrix, 2), "spectral_norm", atol=1e-7)
        suite.add(name, attrs, inputs, outputs, **options)

    normal = suite.normal

    def tensors(dtype, shape, dim=0):
        return {"w": normal(dtype, shape), "u": normal(dtype, shape[dim]), "dw_normalized": normal(dtype, shape)}

    for dtype in (F32, F64):
        for shape, dim in (((3, 5), 0), ((5, 17), 0), ((7, 3), 0), ((5, 3), 1), ((3, 2, 3, 3), 0), ((2, 5, 3), 1),
                           ((1, 7), 0), ((5, 1), 0), ((2, 3, 5), 2)):
            add(f"{list(shape)}, dim {dim}", {"n_power_iterations": 1, "eps": 1e-12, "dim": dim},
                tensors(dtype, shape, dim))
        add("three iterations", {"n_power_iterations": 3}, tensors(dtype, (5, 4)))
        # The directions converge as the gap between singular values allows; sigma has long settled.
        add("200 iterations: the largest singular value", {"n_power_iterations": 200}, tensors(dtype, (3, 4)),
            only=["sigma"])
        forward = tensors(dtype, (4, 3))
        del forward["dw_normalized"]
        add("defaults, forward only", {}, forward)
        add("rank one", {}, {"w": np.outer([1, 2, -1], [0.5, 1, -2, 1]).astype(dtype), "u": normal(dtype, 3, 1, 0.1),
                             "dw_normalized": normal(dtype, (3, 4))})

    inputs = tensors(F32, (4, 3))
    suite.error("u of another length", {}, {**inputs, "u": normal(F32, 3)})
    suite.error("dim beyond the shape", {"dim": 2}, inputs)
    suite.error("n_power_iterations negative", {"n_power_iterations": -1}, inputs)
    suite.error("n_power_iterations is not whole", {"n_power_iterations": 1.5}, inputs)
    suite.error("negative eps", {"eps": -1}, inputs)
    suite.error("dw_normalized of another shape", {}, {**inputs, "dw_normalized": normal(F32, (3, 4))})
    suite.error("w without elements", {}, {"w": np.zeros((4, 0), F32), "u": inputs["u"]})
    suite.error("fewer data than the shape says", {}, {**inputs, "w": malformed(inputs["w"].ravel()[:-1], (4, 3))})


# ---------------------------------------------------------------------------------------------------------------------
# singular_value_bounding


@operation("singular_value_bounding")
def singular_value_bounding(suite):
    def add(name, attrs, w):
        bound = 1 + attrs.get("epsilon", 0.5)
        matrix = np.asarray(w, F64).reshape(len(w), -1)
        u, s, v = np.linalg.svd(matrix, full_matrices=False)
        # A vanishing singular value has no direction of its own to be lifted in.
        assert s.min() > 0.02, f"{name}: singular values {s}"
        bounded = (u * np.clip(s, 1 / bound, bound)) @ v
        # The lifted part has the error of the singular vectors, which is that of W over the smallest value.
        options = {"scale": max(1, 0.2 * s.max() / s.min())}
        suite.add(name, attrs, {"w": w}, {"w": bounded.reshape(w.shape)}, **options)

    def normal(dtype, shape, std=1.0):
        while True:
            w = suite.normal(dtype, shape, 0, std)
            if np.linalg.svd(w.reshape(shape[0], -1), compute_uv=False).min() > 0.1:
                return w

    for dtype in (F32, F64):
        for shape in ((3, 5), (5, 3), (4, 4), (17, 5), (1, 7), (7, 1), (1, 1), (3, 2, 3, 3), (5, 1, 3)):
            add(f"{list(shape)}", {"epsilon": 0.5}, normal(dtype, shape))
        add("default epsilon", {}, normal(dtype, (3, 4)))
        add("epsilon 0: orthogonal", {"epsilon": 0}, normal(dtype, (3, 5)))
        add("epsilon 0.05", {"epsilon": 0.05}, normal(dtype, (5, 3), 0.5))
        add("inside the bounds: unchanged", {"epsilon": 100}, normal(dtype, (3, 3)))
        add("the identity", {}, np.eye(3).astype(dtype))
        add("equal singular values", {}, (3 * np.eye(3)[[2, 0, 1]]).astype(dtype))

    w = normal(F32, (3, 4))
    suite.error("epsilon negative", {"epsilon": -0.1}, {"w": w})
    suite.error("w without elements", {}, {"w": w[:0]})
    suite.error("fewer data than the shape says", {}, {"w": malformed(w.ravel()[:-1], w.shape)})


# ---------------------------------------------------------------------------------------------------------------------
# bounded_batch_norm


@operation("bounded_batch_norm")
def bounded_batch_norm(suite):
    def add(name, attrs, inputs):
        deviation = np.sqrt(np.asarray(inputs["running_var"], F64) + attrs.get("eps", 1e-5))
        weight, bound = np.asarray(inputs["weight"], F64), 1 + attrs.get("epsilon", 1)
        ratio = weight / deviation
        mean = ratio.mean()
        if mean > 0:
            weight = deviation * np.clip(ratio, mean / bound, mean * bound)
        suite.add(name, attrs, inputs, {"weight": weight})

    def tensors(dtype, channels, mean=1.0):
        return {"weight": suite.normal(dtype, channels, mean, 1), "running_var": suite.uniform(dtype, channels, 0.1, 3)}

    for dtype in (F32, F64):
        for channels in (1, 3, 5, 17, 31):
            add(f"{channels} channels", {"epsilon": 1, "eps": 1e-5}, tensors(dtype, channels))
        add("epsilon 0.1", {"epsilon": 0.1}, tensors(dtype, 7))
        add("epsilon 0: all ratios equal", {"epsilon": 0}, tensors(dtype, 7))
        add("defaults", {}, tensors(dtype, 9))
        add("large eps", {"eps": 0.5}, tensors(dtype, 9))
        add("mean ratio negative: unchanged", {}, tensors(dtype, 5, -2.0))
        add("mean ratio 0: unchanged", {},
            {"weight": np.array([1, -1, 2, -2], dtype), "running_var": np.array([1, 1, 3, 3], dtype)})

    inputs = tensors(F32, 4)
    suite.error("running_var of another length", {}, {**inputs, "running_var": np.ones(3, F32)})
    suite.error("weight without elements", {}, {"weight": np.zeros(0, F32), "running_var": np.zeros(0, F32)})
    suite.error("fewer data than the shape says", {}, {**inputs, "weight": malformed(np.ones(3, F32), (4,))})
    suite.error("negative eps", {"eps": -1}, inputs)


# ---------------------------------------------------------------------------------------------------------------------
# cosine_linear


def cosine_linear_forward(t, attrs):
    def direction(rows):
        if attrs.get("centered", False):
            rows = rows - rows.mean(1, keepdim=True)
        norm = torch.sqrt((rows * rows).sum(1, keepdim=True))
        return rows / torch.where(norm > 0, norm, torch.ones_like(norm))

    return {"y": direction(t["x"]) @ direction(t["w"]).T}


@operation("cosine_linear")
def cosine_linear(suite):
    def add(name, attrs, inputs, **options):
        outputs = evaluate(cosine_linear_forward, attrs, inputs, {"dx": "x", "dw": "w"})
        if attrs.get("centered") and len(inputs["x"]) > 1 and len(inputs["w"]) > 1 and "dy" in inputs:
            together = np.corrcoef(np.asarray(inputs["x"], F64), np.asarray(inputs["w"], F64))
            agree(outputs["y"], together[:len(inputs["x"]), len(inputs["x"]):], "cosine_linear")
        suite.add(name, attrs, inputs, outputs, **options)

    normal = suite.normal

    def tensors(dtype, rows, size, units, mean=0.3):
        return {"x": normal(dtype, (rows, size), mean, 1), "w": normal(dtype, (units, size), mean, 1),
                "dy": normal(dtype, (rows, units))}

    for dtype in (F32, F64):
        for rows, size, units in ((3, 5, 2), (1, 17, 3), (5, 3, 1), (2, 31, 5), (7, 4, 3)):
            for centered in (False, True):
                add(f"{rows} rows of {size}, {units} units{', centered' if centered else ''}", {"centered": centered},
                    tensors(dtype, rows, size, units))
        add("one input", {}, tensors(dtype, 3, 1, 2))
        # A row along a unit: the cosine is 1 and its gradient 0.
        inputs = tensors(dtype, 2, 3, 2)
        inputs["w"][0] = inputs["x"][1] * dtype(2)
        add("parallel", {}, inputs)
        forward = tensors(dtype, 3, 4, 3)
        del forward["dy"]
        forward["x"][1], forward["w"][2] = 0, 0
        add("rows of zeros, forward", {}, forward)
        constant = {key: value.copy() for key, value in forward.items()}
        constant["x"][1] = 0.5
        add("constant row, centered, forward", {"centered": True}, constant)
    huge = tensors(F32, 3, 5, 2)
    huge["x"] *= F32(1e24)
    add("squares overflow float32", {}, huge, only=["y", "dw"])

    inputs = tensors(F32, 2, 3, 4)
    linear_errors(suite, inputs)


def linear_errors(suite, inputs):
    normal = suite.normal
    rows, size = inputs["x"].shape
    units = len(inputs["w"])
    suite.error("w for other inputs", {}, {**inputs, "w": normal(F32, (units, size + 1))})
    suite.error("dy of another shape", {}, {**inputs, "dy": normal(F32, (rows, units + 1))})
    suite.error("x without rows", {}, {**inputs, "x": inputs["x"][:0], "dy": None})
    suite.error("w without rows", {}, {**inputs, "w": inputs["w"][:0], "dy": None})
    suite.error("fewer data than the shape says", {},
                {**inputs, "x": malformed(inputs["x"].ravel()[:-1], (rows, size))})
    suite.error("x has one dimension", {}, {**inputs, "x": inputs["x"][0], "dy": None})


# ---------------------------------------------------------------------------------------------------------------------
# norm_prop_linear


def norm_prop_linear_forward(t, attrs):
    """A ReLU unit fed with standard normal input; its output's mean and deviation are known constants."""
    norm = torch.sqrt((t["w"] ** 2).sum(1))
    z = t["gamma"] * (t["x"] @ t["w"].T) / norm + t["beta"]
    mean, deviation = math.sqrt(1 / (2 * math.pi)), math.sqrt((1 - 1 / math.pi) / 2)
    return {"y": (torch.clamp(z, min=0) - mean) / deviation}


@operation("norm_prop_linear")
def norm_prop_linear(suite):
    grads = {"dx": "x", "dw": "w", "dgamma": "gamma", "dbeta": "beta"}

    def add(name, attrs, inputs, **options):
        suite.add(name, attrs, inputs, evaluate(norm_prop_linear_forward, attrs, inputs, grads), **options)

    normal = suite.normal

    def tensors(dtype, rows, size, units):
        return {"x": normal(dtype, (rows, size)), "w": normal(dtype, (units, size)),
                "gamma": normal(dtype, units, 0.8, 0.3), "beta": normal(dtype, units, 0, 0.3),
                "dy": normal(dtype, (rows, units))}

    # The constants: standard normal input gives output of mean 0 and variance 1.
    many = {"x": suite.rng.normal(size=(400000, 3)), "w": suite.rng.normal(size=(1, 3)), "gamma": np.ones(1),
            "beta": np.zeros(1)}
    y = evaluate(norm_prop_linear_forward, {}, many)["y"]
    agree([y.mean(), y.var()], [0, 1], "norm_prop_linear", atol=1e-2)

    for dtype in (F32, F64):
        for rows, size, units in ((3, 5, 2), (1, 17, 3), (5, 3, 1), (2, 31, 5), (7, 1, 3)):
            add(f"{rows} rows of {size}, {units} units", {}, tensors(dtype, rows, size, units))
        forward = tensors(dtype, 3, 4, 3)
        del forward["dy"]
        add("forward only", {}, forward)
        negative = tensors(dtype, 3, 4, 2)
        negative["gamma"] = np.array([-1, 0], dtype)
        add("gamma negative and 0", {}, negative)
        off = tensors(dtype, 2, 4, 2)
        off["beta"] = np.array([-50, 50], dtype)
        add("a unit always off, a unit always on", {}, off)

    inputs = tensors(F32, 2, 3, 4)
    linear_errors(suite, inputs)
    suite.error("gamma too long", {}, {**inputs, "gamma": np.ones(5, F32)})
    suite.error("beta too short", {}, {**inputs, "beta": np.ones(3, F32)})
