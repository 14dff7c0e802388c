"""Normalizers that mix several sets of statistics, or take those of another tensor."""

import numpy as np
import torch

from .batch import batch_norm_forward, channel_errors, running_statistics
from .cases import (AFFINE_GRADS, F32, F64, OFFSETS, agree, centre, evaluate, malformed, offset_tolerance, operation,
                    per_channel, scale_and_shift)
from .layer import instance_norm_forward

# ---------------------------------------------------------------------------------------------------------------------
# batch_instance_norm


def batch_instance_norm_forward(t, attrs):
    x, rho = t["x"], per_channel(t["rho"], t["x"])
    plain = {key: t[key] for key in ("x", "running_mean", "running_var") if key in t}
    outputs = batch_norm_forward(plain, attrs)
    instance = instance_norm_forward({"x": x}, {"eps": attrs.get("eps", 1e-5)})
    return {**outputs, "y": scale_and_shift(rho * outputs["y"] + (1 - rho) * instance["y"], t)}


@operation("batch_instance_norm")
def batch_instance_norm(suite):
    def add(name, attrs, inputs, **options):
        outputs = evaluate(batch_instance_norm_forward, attrs, inputs, {**AFFINE_GRADS, "drho": "rho"})
        terms = inputs["x"].size / inputs["rho"].size
        suite.add(name, attrs, inputs, outputs, **{"terms": terms, **options})

    normal = suite.normal

    def tensors(dtype, shape, mean=0.5, std=1.5):
        channels = shape[1]
        return {"x": normal(dtype, shape, mean, std), "rho": suite.uniform(dtype, channels, 0, 1),
                **suite.affine(dtype, channels), **suite.running(dtype, channels), "dy": normal(dtype, shape)}

    for dtype in (F32, F64):
        for shape in ((3, 3, 5), (2, 5, 3, 3), (1, 3, 7), (3, 1, 17)):
            add(f"{list(shape)}, train", {"mode": "train", "eps": 1e-5, "momentum": 0.1}, tensors(dtype, shape))
        add("eval", {"mode": "eval"}, tensors(dtype, (2, 3, 5)))
        plain = tensors(dtype, (3, 3, 5))
        add("no affine, no running statistics", {}, {key: plain[key] for key in ("x", "rho", "dy")})
        for value, name in ((0, "instance normalization"), (1, "batch normalization")):
            end = tensors(dtype, (2, 3, 5))
            end["rho"][:] = value
            add(f"rho {value}: {name}", {"eps": 1e-3, "momentum": 0.3}, end)
        beyond = tensors(dtype, (2, 3, 5))
        beyond["rho"] = np.array([1.5, -0.25, 0.5], dtype)
        add("rho beyond 0 and 1", {}, beyond)
        for base in OFFSETS[dtype][1::2]:
            add(f"mean {base:g}, deviation 0.5", {}, tensors(dtype, (2, 3, 7), base, 0.5),
                **offset_tolerance(dtype, base))

    inputs = tensors(F32, (2, 3, 5))
    channel_errors(suite, inputs["x"], {}, 3, {"rho": inputs["rho"]})
    suite.error("rho too short", {}, {**inputs, "rho": inputs["rho"][:2]})
    suite.error("eval without running statistics", {"mode": "eval"}, {"x": inputs["x"], "rho": inputs["rho"]})


# ---------------------------------------------------------------------------------------------------------------------
# switchable_norm


def switchable_norm_forward(t, attrs):
    x, eps = t["x"], attrs.get("eps", 1e-5)
    positions, batch = list(range(2, x.dim())), [0] + list(range(2, x.dim()))
    # All means are taken around a constant near the data, so that mixing them loses nothing.
    shift = x.detach().mean()
    near = x - shift
    moments = [centre(near, dims)[1:] for dims in (positions, [1] + positions, batch)]
    outputs = {}
    if attrs.get("mode", "train") == "eval":
        moments[2] = (per_channel(t["running_mean"] - shift, x), per_channel(t["running_var"], x))
        outputs = {key: t[key] for key in ("running_mean", "running_var")}
    elif "running_mean" in t:
        mean, var = moments[2]
        outputs = running_statistics(t, {**attrs, "unbiased_running_var": False}, mean + shift, var, 0)
    mean_share, var_share = (torch.softmax(t[key], 0) for key in ("mean_logits", "var_logits"))
    mean = sum(share * mean for share, (mean, _) in zip(mean_share, moments))
    var = sum(share * var for share, (_, var) in zip(var_share, moments))
    return {"y": scale_and_shift((near - mean) / torch.sqrt(var + eps), t), **outputs}


@operation("switchable_norm")
def switchable_norm(suite):
    grads = {**AFFINE_GRADS, "dmean_logits": "mean_logits", "dvar_logits": "var_logits"}

    def add(name, attrs, inputs, **options):
        outputs = evaluate(switchable_norm_forward, attrs, inputs, grads)
        suite.add(name, attrs, inputs, outputs, **{"terms": inputs["x"].size, **options})

    normal = suite.normal

    def tensors(dtype, shape, mean=0.5, std=1.5):
        channels = shape[1]
        return {"x": normal(dtype, shape, mean, std), **suite.affine(dtype, channels),
                "mean_logits": normal(dtype, 3, 1, 0.5), "var_logits": normal(dtype, 3, 1, 0.5),
                **suite.running(dtype, channels), "dy": normal(dtype, shape)}

    for dtype in (F32, F64):
        for shape in ((3, 3, 5), (2, 5, 3, 3), (1, 3, 7), (3, 1, 17), (2, 3, 2, 1, 3)):
            add(f"{list(shape)}, train", {"mode": "train", "eps": 1e-5, "momentum": 0.1}, tensors(dtype, shape))
        add("eval", {"mode": "eval"}, tensors(dtype, (2, 3, 5)))
        plain = tensors(dtype, (3, 3, 5))
        for key in ("weight", "bias", "running_mean", "running_var"):
            del plain[key]
        add("no affine, no running statistics", {"eps": 1e-3}, plain)
        for place, name in enumerate(("instance", "layer", "batch")):
            one = tensors(dtype, (3, 3, 5))
            one["mean_logits"] = one["var_logits"] = (50.0 * (np.arange(3) == place)).astype(dtype)
            if name == "instance":
                ours = evaluate(switchable_norm_forward, {}, one)["y"]
                agree(ours, evaluate(instance_norm_forward, {}, {k: one[k] for k in ("x", "weight", "bias")})["y"],
                      "switchable_norm")
            add(f"{name} alone", {"momentum": 0.5}, one)
        split = tensors(dtype, (3, 3, 5))
        split["mean_logits"], split["var_logits"] = np.array([9, 0, 0], dtype), np.array([0, 0, 9], dtype)
        add("mean of the instance, variance of the batch", {}, split)
        for base in OFFSETS[dtype][1::2]:
            add(f"mean {base:g}, deviation 0.5", {}, tensors(dtype, (2, 3, 7), base, 0.5),
                **offset_tolerance(dtype, base))

    inputs = tensors(F32, (2, 3, 5))
    logits = {key: inputs[key] for key in ("mean_logits", "var_logits")}
    channel_errors(suite, inputs["x"], {}, 3, logits)
    suite.error("mean_logits of another length", {}, {**inputs, "mean_logits": np.ones(2, F32)})
    suite.error("var_logits of another length", {}, {**inputs, "var_logits": np.ones(4, F32)})
    suite.error("eval without running statistics", {"mode": "eval"}, {"x": inputs["x"], **logits})


# ---------------------------------------------------------------------------------------------------------------------
# ada_in


def ada_in_forward(t, attrs):
    content, style = t["content"], t["style"]
    eps, alpha = attrs.get("eps", 1e-5), attrs.get("alpha", 1)
    d, _, content_var = centre(content, list(range(2, content.dim())))
    _, style_mean, style_var = centre(style, list(range(2, style.dim())))
    shape = list(content.shape[:2]) + [1] * (content.dim() - 2)
    std, mean = torch.sqrt(style_var + eps).reshape(shape), style_mean.reshape(shape)
    styled = d / torch.sqrt(content_var + eps) * std + mean
    return {"y": alpha * styled + (1 - alpha) * content}


@operation("ada_in")
def ada_in(suite):
    grads = {"dcontent": "content", "dstyle": "style"}

    def add(name, attrs, inputs, **options):
        suite.add(name, attrs, inputs, evaluate(ada_in_forward, attrs, inputs, grads), **options)

    normal = suite.normal

    def tensors(dtype, shape, style=None, mean=0.5, std=1.5):
        return {"content": normal(dtype, shape, mean, std), "style": normal(dtype, style or shape, -1, 2),
                "dy": normal(dtype, shape)}

    for dtype in (F32, F64):
        for shape, style in (((2, 3, 5), None), ((1, 3, 3, 5), None), ((2, 1, 17), (2, 1, 7)), ((1, 5, 3), (1, 5, 31)),
                             ((2, 3, 2, 3), (2, 3, 3, 5)), ((1, 2, 2, 1, 3), None)):
            add(f"content {list(shape)}, style {list(style or shape)}", {"eps": 1e-5, "alpha": 1},
                tensors(dtype, shape, style))
        add("half the style", {"alpha": 0.5}, tensors(dtype, (2, 3, 5)))
        add("none of the style", {"alpha": 0}, tensors(dtype, (2, 3, 5)))
        same = tensors(dtype, (2, 3, 5))
        same["style"] = same["content"].copy()
        add("content as its own style", {"eps": 1e-3}, same)
        forward = tensors(dtype, (1, 3, 7))
        del forward["dy"]
        add("forward only", {}, forward)
        flat = tensors(dtype, (1, 2, 5))
        flat["content"][0, 0], flat["style"][0, 1] = 3, -2
        add("constant content, constant style, eps 0.01", {"eps": 0.01}, flat)
        for base in OFFSETS[dtype][1::2]:
            add(f"content of mean {base:g}, deviation 0.5", {}, tensors(dtype, (2, 3, 7), None, base, 0.5),
                **offset_tolerance(dtype, base))

    inputs = tensors(F32, (2, 3, 5))
    suite.error("content without elements", {}, {**inputs, "content": np.zeros((2, 3, 0), F32), "dy": None})
    suite.error("style without elements", {}, {**inputs, "style": np.zeros((2, 3, 0), F32)})
    suite.error("style with other channels", {}, {**inputs, "style": normal(F32, (2, 2, 5))})
    suite.error("style with other samples", {}, {**inputs, "style": normal(F32, (1, 3, 5))})
    suite.error("negative eps", {"eps": -1}, inputs)
    suite.error("dy of another shape", {}, {**inputs, "dy": normal(F32, (2, 3, 4))})
    suite.error("fewer data than the shape says", {},
                {**inputs, "content": malformed(inputs["content"].ravel()[:-1], (2, 3, 5))})
