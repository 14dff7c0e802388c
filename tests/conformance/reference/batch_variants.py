"""Relatives of batch normalization that change its statistics or what is done with them."""

import math

import numpy as np
import torch

from .batch import batch_norm_forward, channel_errors
from .cases import (AFFINE_GRADS, F32, F64, OFFSETS, agree, alternating, centre, evaluate, malformed,
                    measured_tolerance, offset_tolerance, operation, per_channel, scale_and_shift)


def batch_dims(x):
    return [0] + list(range(2, x.dim()))


# ---------------------------------------------------------------------------------------------------------------------
# batch_renorm


def batch_renorm_forward(t, attrs):
    x, momentum, eps = t["x"], attrs.get("momentum", 0.01), attrs.get("eps", 1e-5)
    running_mean, running_std = t["running_mean"], t["running_std"]
    if attrs.get("mode", "train") == "eval":
        y = (x - per_channel(running_mean, x)) / per_channel(running_std, x)
        return {"y": scale_and_shift(y, t), "running_mean": running_mean, "running_std": running_std}
    centred, mean, var = centre(x, batch_dims(x))
    std = torch.sqrt(var + eps)
    batch_mean, batch_std = mean.detach().flatten(), std.detach().flatten()
    r_max, d_max = attrs.get("r_max", 1), attrs.get("d_max", 0)
    # Corrections towards the running statistics; backward takes them for constants.
    r = torch.clamp(batch_std / running_std, 1 / r_max, r_max)
    d = torch.clamp((batch_mean - running_mean) / running_std, -d_max, d_max)
    y = centred / std * per_channel(r, x) + per_channel(d, x)
    return {"y": scale_and_shift(y, t),
            "running_mean": running_mean + momentum * (batch_mean - running_mean),
            "running_std": running_std + momentum * (batch_std - running_std)}


@operation("batch_renorm")
def batch_renorm(suite):
    def add(name, attrs, inputs, **options):
        outputs = evaluate(batch_renorm_forward, attrs, inputs, AFFINE_GRADS)
        if attrs.get("r_max") == 1e6:  # without clipping, training and eval give the same y
            agree(outputs["y"], evaluate(batch_renorm_forward, {**attrs, "mode": "eval"}, inputs)["y"], "batch_renorm",
                  atol=1e-7)
        suite.add(name, attrs, inputs, outputs, **options)

    normal = suite.normal

    def tensors(dtype, shape, mean=0.5, std=1.5):
        channels = shape[1]
        return {"x": normal(dtype, shape, mean, std), **suite.affine(dtype, channels),
                "running_mean": normal(dtype, channels, mean, 0.5),
                "running_std": suite.uniform(dtype, channels, 0.5 * std, 2 * std), "dy": normal(dtype, shape)}

    for dtype in (F32, F64):
        for shape in ((5, 3), (3, 5, 2), (2, 3, 3, 1), (1, 1, 17)):
            add(f"{list(shape)}, r_max 1.5, d_max 0.5",
                {"mode": "train", "eps": 1e-5, "momentum": 0.01, "r_max": 1.5, "d_max": 0.5}, tensors(dtype, shape))
        add("defaults: batch normalization", {}, tensors(dtype, (7, 3)))
        add("no clipping", {"r_max": 1e6, "d_max": 1e6}, tensors(dtype, (7, 5)))
        add("r alone", {"r_max": 3, "momentum": 0.2}, tensors(dtype, (7, 3)))
        add("d alone", {"d_max": 5, "momentum": 0.2}, tensors(dtype, (7, 3)))
        add("large eps enters the running deviation", {"eps": 0.5, "r_max": 2, "d_max": 1}, tensors(dtype, (4, 3)))
        plain = tensors(dtype, (5, 3))
        del plain["weight"], plain["bias"]
        add("no affine", {"r_max": 3, "d_max": 5}, plain)
        add("eval", {"mode": "eval", "eps": 0.5}, tensors(dtype, (5, 3)))
        add("eval of one value", {"mode": "eval"}, tensors(dtype, (1, 3)))
        for base in OFFSETS[dtype][1::2]:
            add(f"mean {base:g}, deviation 0.5", {"r_max": 3, "d_max": 5}, tensors(dtype, (17, 3), base, 0.5),
                **offset_tolerance(dtype, base))

    inputs = tensors(F32, (4, 3))
    channel_errors(suite, inputs["x"], {"r_max": 2}, 3, {key: inputs[key] for key in ("running_mean", "running_std")})
    suite.error("r_max below 1", {"r_max": 0.5}, inputs)
    suite.error("d_max negative", {"d_max": -1}, inputs)
    suite.error("running_mean too long", {}, {**inputs, "running_mean": np.zeros(4, F32)})
    suite.error("running_std too short", {}, {**inputs, "running_std": np.ones(2, F32)})


# ---------------------------------------------------------------------------------------------------------------------
# mean_only_batch_norm


def mean_only_forward(t, attrs):
    x, momentum, outputs = t["x"], attrs.get("momentum", 0.1), {}
    if attrs.get("mode", "train") == "train":
        y, mean, _ = centre(x, batch_dims(x))
        if "running_mean" in t:
            outputs["running_mean"] = (1 - momentum) * t["running_mean"] + momentum * mean.detach().flatten()
    else:
        y = x - per_channel(t["running_mean"], x)
        outputs["running_mean"] = t["running_mean"]
    return {"y": scale_and_shift(y, t), **outputs}


@operation("mean_only_batch_norm")
def mean_only_batch_norm(suite):
    def add(name, attrs, inputs, **options):
        suite.add(name, attrs, inputs, evaluate(mean_only_forward, attrs, inputs, {"dx": "x", "dbias": "bias"}),
                  **options)

    normal = suite.normal

    def tensors(dtype, shape, mean=0.5, std=1.5):
        return {"x": normal(dtype, shape, mean, std), "bias": normal(dtype, shape[1]),
                "running_mean": normal(dtype, shape[1], mean, 0.5), "dy": normal(dtype, shape)}

    for dtype in (F32, F64):
        for shape in ((5, 3), (3, 5, 2), (2, 3, 3, 5), (17, 1)):
            add(f"{list(shape)}, train", {"mode": "train", "momentum": 0.1}, tensors(dtype, shape))
        add("eval", {"mode": "eval"}, tensors(dtype, (1, 5, 2)))
        add("momentum 0.5", {"momentum": 0.5}, tensors(dtype, (4, 3)))
        plain = tensors(dtype, (4, 3))
        add("no bias, no running mean", {}, {"x": plain["x"], "dy": plain["dy"]})
        for base in OFFSETS[dtype][1::2]:
            add(f"mean {base:g}, deviation 0.5", {}, tensors(dtype, (17, 3), base, 0.5),
                **offset_tolerance(dtype, base))

    inputs = tensors(F32, (4, 3))
    x = inputs["x"]
    suite.error("x without elements", {}, {"x": x[:0]})
    suite.error("x has one dimension", {}, {"x": x[0]})
    suite.error("fewer data than the shape says", {}, {"x": malformed(x.ravel()[:-1], x.shape)})
    suite.error("bias too long", {}, {"x": x, "bias": np.ones(4, F32)})
    suite.error("running_mean too short", {}, {"x": x, "running_mean": np.ones(2, F32)})
    suite.error("eval without a running mean", {"mode": "eval"}, {"x": x})
    suite.error("dy of another shape", {}, {"x": x, "dy": np.ones((3, 4), F32)})


# ---------------------------------------------------------------------------------------------------------------------
# lp_batch_norm


def lp_batch_norm_forward(t, attrs):
    x, p = t["x"], attrs.get("p", 1)
    d, _, _ = centre(x, batch_dims(x))
    size = d.abs() if p == 1 else d.abs() ** p
    s = (size.mean(batch_dims(x), keepdim=True) + attrs.get("eps", 1e-5)) ** (1 / p)
    if attrs.get("gaussian_scale", False) and p == 1:
        s = s * math.sqrt(math.pi / 2)
    return {"y": scale_and_shift(d / s, t)}


@operation("lp_batch_norm")
def lp_batch_norm(suite):
    def add(name, attrs, inputs, **options):
        outputs = evaluate(lp_batch_norm_forward, attrs, inputs, AFFINE_GRADS)
        if attrs.get("p", 1) == 2:
            agree(outputs["dx"], evaluate(batch_norm_forward, attrs, inputs, AFFINE_GRADS)["dx"], "lp_batch_norm, p 2")
        suite.add(name, attrs, inputs, outputs, **options)

    normal = suite.normal

    def tensors(dtype, shape, mean=0.5, std=1.5):
        return {"x": normal(dtype, shape, mean, std), **suite.affine(dtype, shape[1]), "dy": normal(dtype, shape)}

    for dtype in (F32, F64):
        for p in (1, 1.5, 2, 3):
            add(f"p {p}", {"p": p, "eps": 1e-5}, tensors(dtype, (7, 3)))
            add(f"p {p}, images", {"p": p}, tensors(dtype, (2, 3, 3, 5)))
        add("defaults", {}, tensors(dtype, (5, 3, 1)))
        add("gaussian_scale", {"p": 1, "gaussian_scale": True}, tensors(dtype, (17, 3)))
        add("gaussian_scale plays no part for p 2", {"p": 2, "gaussian_scale": True}, tensors(dtype, (5, 3)))
        add("p 0.5, forward", {"p": 0.5}, {"x": normal(dtype, (7, 3))})
        plain = tensors(dtype, (5, 3))
        add("no affine", {"p": 1}, {"x": plain["x"], "dy": plain["dy"]})
        middle = tensors(dtype, (3, 2))
        middle["x"] = np.array([[-1, 2], [0, 6], [1, 4]], dtype)  # the sign of 0 is 0
        add("p 1, an element at the mean", {"p": 1}, middle)
        middle = dict(middle, dy=middle["dy"] * dtype(2))
        add("p 1.5, an element at the mean", {"p": 1.5}, middle)
        for base in OFFSETS[dtype][1::2]:
            add(f"p 1, mean {base:g}, deviation 0.5", {"p": 1}, tensors(dtype, (17, 3), base, 0.5),
                **offset_tolerance(dtype, base))

    x = normal(F32, (4, 3))
    channel_errors(suite, x, {"p": 1}, 3)
    suite.error("p 0", {"p": 0}, {"x": x})
    suite.error("p negative", {"p": -1}, {"x": x})


# ---------------------------------------------------------------------------------------------------------------------
# streaming_norm


class Stream:
    """A statistic averaged since the last update of the weights (short), and over the updates (long)."""

    def __init__(self, attrs):
        self.alpha, self.kappa = attrs["alpha"], attrs["kappa"]
        self.long, self.total, self.count = None, 0, 0

    def weights_changed(self):
        short = self.total / self.count
        self.long = short if self.long is None else self.kappa[0] * self.long + self.kappa[1] * short
        self.total, self.count = 0, 0

    def see(self, statistic):
        self.total, self.count = self.total + statistic, self.count + 1
        short = self.total / self.count
        return self.alpha[0] * (short if self.long is None else self.long) + self.alpha[1] * short


def streaming_norm_forward(t, attrs):
    p, means, moments, ys = attrs.get("p", 2), Stream(attrs), Stream(attrs), []
    for step, x in enumerate(t["xs"]):
        if step and attrs["updates"][step - 1]:
            means.weights_changed()
            moments.weights_changed()
        d = x - means.see(x.mean(0))
        m = moments.see((d.abs() ** p).mean(0))
        ys.append(scale_and_shift(d / (m + attrs.get("eps", 1e-5)) ** (1 / p), t))
    return {"ys": torch.stack(ys)}


@operation("streaming_norm")
def streaming_norm(suite):
    def add(name, attrs, inputs, **options):
        suite.add(name, attrs, inputs, evaluate(streaming_norm_forward, attrs, inputs), **options)

    normal = suite.normal

    def tensors(dtype, shape, mean=0.5, std=1.5):
        return {"xs": normal(dtype, shape, mean, std), **suite.affine(dtype, shape[2])}

    half, kappa = [0.5, 0.5], [0.7, 0.3]
    for dtype in (F32, F64):
        add("an update after every step", {"p": 2, "alpha": half, "kappa": kappa, "updates": [True] * 5, "eps": 1e-5},
            tensors(dtype, (5, 4, 3)))
        add("an update after every other step", {"alpha": [0.7, 0.3], "kappa": kappa, "updates": [False, True] * 3},
            tensors(dtype, (6, 3, 5)))
        add("no update", {"alpha": half, "kappa": kappa, "updates": [False] * 4}, tensors(dtype, (4, 3, 3)))
        add("one step", {"alpha": half, "kappa": kappa, "updates": [True]}, tensors(dtype, (1, 5, 3)))
        add("batches of one", {"alpha": half, "kappa": kappa, "updates": [True, False, True, True, False, False, True]},
            tensors(dtype, (7, 1, 3)), scale=20)
        add("p 1", {"p": 1, "alpha": half, "kappa": kappa, "updates": [False, True, True, False]},
            tensors(dtype, (4, 5, 3)))
        add("p 3, eps 1e-3", {"p": 3, "alpha": half, "kappa": [0.9, 0.1], "updates": [True, False, True], "eps": 1e-3},
            tensors(dtype, (3, 5, 1)))
        attrs = {"alpha": [0, 1], "kappa": [0, 0], "updates": [True] * 3}
        inputs = tensors(dtype, (3, 5, 3))
        for x, y in zip(inputs["xs"], evaluate(streaming_norm_forward, attrs, inputs)["ys"]):
            affine = {key: inputs[key] for key in ("weight", "bias")}
            agree(y, evaluate(batch_norm_forward, {}, {"x": x, **affine})["y"], "streaming_norm")
        add("short alone and an update after every step: batch normalization", attrs, inputs)
        add("no affine", {"alpha": half, "kappa": kappa, "updates": [True, True, False]},
            {"xs": normal(dtype, (3, 4, 2))})
        for base in OFFSETS[dtype][1::2]:
            add(f"mean {base:g}, deviation 0.5", {"alpha": half, "kappa": kappa, "updates": [True] * 4},
                tensors(dtype, (4, 5, 3), base, 0.5), **offset_tolerance(dtype, base))

    xs = normal(F32, (3, 4, 2))
    attrs = {"alpha": half, "kappa": kappa, "updates": [True, False, True]}
    suite.error("xs without elements", attrs, {"xs": xs[:, :0]})
    suite.error("fewer data than the shape says", attrs, {"xs": malformed(xs.ravel()[:-1], xs.shape)})
    suite.error("p 0", {**attrs, "p": 0}, {"xs": xs})
    suite.error("updates of another length", {**attrs, "updates": [True]}, {"xs": xs})
    suite.error("weight too long", attrs, {"xs": xs, "weight": np.ones(3, F32)})
    suite.error("negative eps", {**attrs, "eps": -1}, {"xs": xs})


# ---------------------------------------------------------------------------------------------------------------------
# virtual_batch_norm


def virtual_batch_norm_forward(t, attrs):
    """Statistics of the reference batch with the sample itself as one more member."""
    x, reference = t["x"], t["reference"].detach()
    share = 1 / (reference.shape[0] + 1)
    _, reference_mean, reference_var = centre(reference, batch_dims(reference))
    own = list(range(2, x.dim()))
    if own:
        _, sample_mean, sample_var = centre(x, own)
    else:
        sample_mean, sample_var = x, torch.zeros_like(x)
    # Relative to the reference's mean: neither the mean nor the variance is then a difference of large numbers.
    apart = sample_mean - reference_mean
    var = share * sample_var + (1 - share) * reference_var + share * (1 - share) * apart ** 2
    d = (x - reference_mean) - share * apart
    return {"y": scale_and_shift(d / torch.sqrt(var + attrs.get("eps", 1e-5)), t)}


def check_virtual(attrs, inputs, y):
    """The paper's own formula: mean square minus squared mean."""
    t = {key: torch.tensor(np.asarray(value, F64)) for key, value in inputs.items()}
    x, reference = t["x"], t["reference"]
    share = 1 / (reference.shape[0] + 1)
    flat = x.reshape(*x.shape[:2], -1)
    stack = reference.reshape(*reference.shape[:2], -1)
    mean = share * flat.mean(2) + (1 - share) * stack.mean((0, 2))
    square = share * (flat ** 2).mean(2) + (1 - share) * (stack ** 2).mean((0, 2))
    std = torch.sqrt(attrs.get("eps", 1e-5) + square - mean ** 2)
    literal = ((flat - mean[:, :, None]) / std[:, :, None]).reshape(x.shape)
    agree(y, scale_and_shift(literal, t), "virtual_batch_norm", atol=1e-8)


@operation("virtual_batch_norm")
def virtual_batch_norm(suite):
    def add(name, attrs, inputs, **options):
        outputs = evaluate(virtual_batch_norm_forward, attrs, inputs, AFFINE_GRADS)
        if np.abs(inputs["x"]).max() < 1e3:
            check_virtual(attrs, inputs, outputs["y"])
        suite.add(name, attrs, inputs, outputs, **options)

    normal = suite.normal

    def tensors(dtype, rows, shape, mean=0.5, std=1.5):
        return {"reference": normal(dtype, (rows, *shape[1:]), mean, std), "x": normal(dtype, shape, mean + 0.5, std),
                **suite.affine(dtype, shape[1]), "dy": normal(dtype, shape)}

    for dtype in (F32, F64):
        for rows, shape in ((5, (3, 3)), (3, (1, 5)), (4, (2, 3, 5)), (3, (2, 3, 3, 1)), (1, (3, 2, 7)), (31, (2, 1))):
            add(f"reference of {rows}, x {list(shape)}", {"eps": 1e-5}, tensors(dtype, rows, shape))
        plain = tensors(dtype, 5, (3, 3))
        add("no affine, eps 1e-3", {"eps": 1e-3}, {key: plain[key] for key in ("reference", "x", "dy")})
        weighted = tensors(dtype, 5, (3, 3))
        del weighted["bias"]
        add("weight only", {}, weighted)
        for base in OFFSETS[dtype][1::2]:
            add(f"mean {base:g}, deviation 0.5", {}, tensors(dtype, 5, (2, 3, 5), base, 0.5),
                **offset_tolerance(dtype, base))

    inputs = tensors(F32, 5, (4, 3))
    required = {"reference": inputs["reference"]}
    channel_errors(suite, inputs["x"], {}, 3, required)
    suite.error("reference without elements", {}, {**inputs, "reference": np.zeros((0, 3), F32)})
    suite.error("reference with other channels", {}, {**inputs, "reference": normal(F32, (5, 2))})


# ---------------------------------------------------------------------------------------------------------------------
# ada_bn


def ada_bn_forward(t, attrs):
    _, mean, var = centre(t["x"], batch_dims(t["x"]))
    return {"mean": mean.flatten(), "var": var.flatten()}


@operation("ada_bn")
def ada_bn(suite):
    def add(name, attrs, inputs, **options):
        suite.add(name, attrs, inputs, evaluate(ada_bn_forward, attrs, inputs), **options)

    normal = suite.normal

    for dtype in (F32, F64):
        for size, shape in ((2, (6, 3)), (3, (7, 5)), (1, (5, 3)), (64, (17, 1)), (2, (5, 3, 7)), (3, (4, 2, 3, 5))):
            add(f"{list(shape)} in batches of {size}", {"batch_size": size}, {"x": normal(dtype, shape, 0.5, 2)})
        drift = normal(dtype, (12, 3)) + (np.arange(12) * 20).astype(dtype)[:, None]
        add("batches far apart", {"batch_size": 5}, {"x": drift}, **({"atol": 1e-5} if dtype == F32 else {}))
        for base in OFFSETS[dtype]:
            add(f"alternating {base:g}, {base:g} + 1", {"batch_size": 50}, {"x": alternating(dtype, (128, 1), base)},
                **offset_tolerance(dtype, base))

    x = normal(F32, (4, 3))
    suite.error("x without elements", {"batch_size": 2}, {"x": x[:0]})
    suite.error("fewer data than the shape says", {"batch_size": 2}, {"x": malformed(x.ravel()[:-1], x.shape)})
    suite.error("batch_size 0", {"batch_size": 0}, {"x": x})
    suite.error("batch_size negative", {"batch_size": -1}, {"x": x})
    suite.error("batch_size is not whole", {"batch_size": 1.5}, {"x": x})
    suite.error("x has one dimension", {"batch_size": 2}, {"x": x[0]})


# ---------------------------------------------------------------------------------------------------------------------
# decorrelated_batch_norm


def inverse_square_root(a):
    """Denman and Beavers' iteration: unlike eigenvectors, it can be differentiated where eigenvalues coincide."""
    y, z = a, torch.eye(a.shape[0], dtype=a.dtype)
    for _ in range(30):
        y, z = (y + torch.linalg.inv(z)) / 2, (z + torch.linalg.inv(y)) / 2
    return z


def decorrelated_batch_norm_forward(t, attrs):
    x, groups, eps = t["x"], attrs.get("num_groups", 1), attrs.get("eps", 1e-3)
    rows = x.movedim(1, 0).reshape(x.shape[1], -1)  # channels by samples and positions
    parts = []
    for group in torch.chunk(rows, groups):
        d, _, _ = centre(group, [1])
        covariance = d @ d.T / d.shape[1]
        regular = covariance + eps * torch.eye(len(d), dtype=d.dtype)
        whitening = inverse_square_root(regular)
        if x.dtype == torch.float64:
            agree(whitening @ regular @ whitening, np.eye(len(d)), "decorrelated_batch_norm")
        parts.append(whitening @ d)
    y = torch.cat(parts).reshape(x.movedim(1, 0).shape).movedim(0, 1)
    return {"y": scale_and_shift(y, t)}


@operation("decorrelated_batch_norm")
def decorrelated_batch_norm(suite):
    def add(name, attrs, inputs, **options):
        outputs = evaluate(decorrelated_batch_norm_forward, attrs, inputs, AFFINE_GRADS)
        tolerance = measured_tolerance(decorrelated_batch_norm_forward, attrs, inputs, outputs, AFFINE_GRADS)
        suite.add(name, attrs, inputs, outputs, **{**tolerance, **options})

    normal = suite.normal

    def tensors(dtype, shape, mean=0.5, std=1.5):
        mix = suite.rng.normal(size=(shape[1], shape[1])) * 0.3 + np.eye(shape[1])
        x = np.einsum("cd,nd...->nc...", mix, suite.rng.normal(0, std, shape)) + mean
        return {"x": np.round(x, 3).astype(dtype), **suite.affine(dtype, shape[1]), "dy": normal(dtype, shape)}

    for dtype in (F32, F64):
        add("[17, 3]", {"eps": 1e-3, "num_groups": 1}, tensors(dtype, (17, 3)))
        add("[31, 5], defaults", {}, tensors(dtype, (31, 5)))
        add("[17, 6], 2 groups", {"num_groups": 2}, tensors(dtype, (17, 6)))
        add("[5, 3], as many groups as channels", {"num_groups": 3}, tensors(dtype, (5, 3)))
        add("[3, 1], one channel", {}, tensors(dtype, (3, 1)))
        add("[2, 4, 3, 5], 2 groups", {"num_groups": 2}, tensors(dtype, (2, 4, 3, 5)))
        plain = tensors(dtype, (9, 3))
        add("no affine, eps 0.1", {"eps": 0.1}, {"x": plain["x"], "dy": plain["dy"]})
        # Fewer samples than channels: several eigenvalues are eps exactly, and only their divided differences exist.
        add("[4, 5], singular covariance", {"eps": 0.1}, tensors(dtype, (4, 5)))
        # float64 knows the mean to 1e-12 here, and the whitening matrix multiplies that by up to 1 / sqrt(eps).
        add("mean 10000, deviation 0.5", {}, tensors(dtype, (17, 3), 1e4, 0.5),
            **({} if dtype == F32 else {"atol": 1e-10}))

    x = normal(F32, (5, 4))
    channel_errors(suite, x, {"num_groups": 2}, 4)
    suite.error("num_groups does not divide the channels", {"num_groups": 3}, {"x": x})
    suite.error("num_groups 0", {"num_groups": 0}, {"x": x})
