"""Normalizers over the batch: batch normalization and its relatives."""

import numpy as np
import torch

from .cases import (AFFINE_GRADS, F32, F64, OFFSETS, agree, alternating, centre, channels_first, evaluate, malformed,
                    offset_tolerance, operation, per_channel, restore_layout, scale_and_shift)

# ---------------------------------------------------------------------------------------------------------------------
# batch_norm


def batch_norm_forward(t, attrs):
    x, eps = channels_first(t["x"], attrs), attrs.get("eps", 1e-5)
    dims = [0] + list(range(2, x.dim()))
    valid = torch.ones_like(x, dtype=torch.bool)
    if "mask" in t:
        shape = [x.shape[0], 1] + list(x.shape[2:])
        mask = t["mask"].reshape([-1, 1] + [1] * (x.dim() - 2)) if t["mask"].dim() == 1 else t["mask"].reshape(shape)
        valid = (mask != 0).expand_as(x)
    outputs = {}
    if attrs.get("mode", "train") == "train":
        d, mean, var = centre(x, dims, valid)
        if "running_mean" in t:
            outputs = running_statistics(t, attrs, mean, var, int(valid[:, 0].sum()))
    else:
        d, var = x - per_channel(t["running_mean"], x), per_channel(t["running_var"], x)
        d = torch.where(valid, d, torch.zeros((), dtype=x.dtype))  # what is masked must not reach dweight either
        outputs = {key: t[key] for key in ("running_mean", "running_var")}  # eval leaves them alone
    y = scale_and_shift(d / torch.sqrt(var + eps), t)
    y = torch.where(valid, y, torch.zeros((), dtype=x.dtype))
    return {"y": restore_layout(y, attrs), **outputs}


def running_statistics(t, attrs, mean, var, count):
    """Running statistics after a batch of `count` values a channel, PyTorch's way."""
    momentum = attrs.get("momentum", 0.1)
    if momentum is None:  # cumulative average: this batch is one of (tracked + 1)
        momentum = 1 / (float(t.get("num_batches_tracked", 0)) + 1)
    if attrs.get("unbiased_running_var", True):
        var = var * count / (count - 1)
    return {"running_mean": (1 - momentum) * t["running_mean"] + momentum * mean.detach().flatten(),
            "running_var": (1 - momentum) * t["running_var"] + momentum * var.detach().flatten()}


def check_batch_norm(attrs, inputs):
    """PyTorch's own layer, fed with the same numbers, must give the same answer."""
    if "mask" in inputs or not attrs.get("unbiased_running_var", True) or np.abs(inputs["x"]).max() >= 1e3:
        return
    t = {key: torch.tensor(np.asarray(value, F64)) for key, value in inputs.items() if value is not None}
    for key in ("x", "weight", "bias"):
        if key in t:
            t[key].requires_grad_()
    x = channels_first(t["x"], attrs)
    layer = torch.nn.BatchNorm1d(x.shape[1], eps=attrs.get("eps", 1e-5), momentum=attrs.get("momentum", 0.1),
                                 affine=False, track_running_stats="running_mean" in t).double()
    layer._check_input_dim = lambda _: None
    if "running_mean" in t:
        layer.load_state_dict({"running_mean": t["running_mean"], "running_var": t["running_var"],
                               "num_batches_tracked": t.get("num_batches_tracked", torch.tensor(0)).long()})
    layer.train(attrs.get("mode", "train") == "train")
    y = restore_layout(scale_and_shift(layer(x), t), attrs)
    ours = evaluate(batch_norm_forward, attrs, inputs, AFFINE_GRADS)
    agree(ours["y"], y, "batch_norm y")
    if "running_mean" in t:
        agree(ours["running_mean"], layer.running_mean, "batch_norm running_mean")
        agree(ours["running_var"], layer.running_var, "batch_norm running_var")
    if "dy" in t:
        y.backward(t["dy"])
        agree(ours["dx"], t["x"].grad, "batch_norm dx")


def run_batch_norm(attrs, inputs):
    check_batch_norm(attrs, inputs)
    return evaluate(batch_norm_forward, attrs, inputs, AFFINE_GRADS)


@operation("batch_norm")
def batch_norm(suite):
    def add(name, attrs, inputs, **options):
        suite.add(name, attrs, inputs, run_batch_norm(attrs, inputs), **options)

    normal, affine, running = suite.normal, suite.affine, suite.running

    def layouts(shape):
        yield shape, "", {}
        yield (shape[0], *shape[2:], shape[1]), ", channels-last", {"layout": "channels-last"}

    # Shapes, layouts, train and eval.
    for dtype in (F32, F64):
        shapes = [(3, 1), (5, 3), (17, 5), (3, 5, 7), (1, 3, 17), (2, 3, 3, 5), (3, 1, 1, 31), (2, 7, 2, 3, 1)]
        if dtype == F32:
            shapes += [(127, 2), (1, 1, 1023)]
        for shape in shapes:
            channels = shape[1]
            for dims, suffix, layout in layouts(shape):
                size = np.prod(shape)
                if layout and (len(shape) == 2 and dtype == F64 or size > 200):
                    continue  # without spatial dimensions both layouts are one; and files should stay small
                add(f"{list(shape)}, train, affine, running, backward{suffix}",
                    {"mode": "train", "eps": 1e-5, "momentum": 0.1, **layout},
                    {"x": normal(dtype, dims, 0.5, 2, 3 if size < 1000 else 1), **affine(dtype, channels),
                     **running(dtype, channels), "dy": normal(dtype, dims, digits=3 if size < 1000 else 1)})
        for shape in ((1, 3), (4, 5), (2, 3, 5), (1, 3, 2, 5)):
            for dims, suffix, layout in layouts(shape):
                add(f"{list(shape)}, eval, affine, backward{suffix}", {"mode": "eval", **layout},
                    {"x": normal(dtype, dims, 0.5, 2), **affine(dtype, shape[1]), **running(dtype, shape[1]),
                     "dy": normal(dtype, dims)})

        # Parameters and running statistics.
        add("no affine, no running statistics, defaults", {}, {"x": normal(dtype, (6, 5)), "dy": normal(dtype, (6, 5))})
        add("weight only", {}, {"x": normal(dtype, (3, 5, 2)), "weight": affine(dtype, 5)["weight"],
                                "dy": normal(dtype, (3, 5, 2))})
        add("bias only", {"layout": "channels-last"},
            {"x": normal(dtype, (3, 2, 5)), "bias": affine(dtype, 5)["bias"], "dy": normal(dtype, (3, 2, 5))})
        add("eval, no affine", {"mode": "eval", "eps": 1e-3},
            {"x": normal(dtype, (3, 5, 2)), **running(dtype, 5), "dy": normal(dtype, (3, 5, 2))})
        add("momentum null, fourth batch", {"momentum": None},
            {"x": normal(dtype, (3, 5, 2)), **running(dtype, 5), "num_batches_tracked": np.array(3, dtype)})
        add("momentum null, first batch", {"momentum": None},
            {"x": normal(dtype, (3, 5, 2), 7, 2), **running(dtype, 5), "num_batches_tracked": np.array(0, dtype)})
        add("momentum given: batches tracked play no part", {"momentum": 0.25},
            {"x": normal(dtype, (3, 5, 2)), **running(dtype, 5), "num_batches_tracked": np.array(3, dtype)})
        add("momentum 1", {"momentum": 1}, {"x": normal(dtype, (2, 5, 2)), **running(dtype, 5)})
        add("momentum 0", {"momentum": 0}, {"x": normal(dtype, (2, 5, 2)), **running(dtype, 5)})
        add("biased running variance", {"unbiased_running_var": False, "momentum": 0.5},
            {"x": normal(dtype, (2, 5)), **running(dtype, 5)})
        add("large eps", {"eps": 0.1},
            {"x": normal(dtype, (7, 3), 0, 0.3), **affine(dtype, 3), "dy": normal(dtype, (7, 3))})
        constant = normal(dtype, (6, 4))
        constant[:, 1], constant[:, 3] = 0, constant[0, 3]
        add("constant channels, eps 1e-3", {"eps": 1e-3},
            {"x": constant, **affine(dtype, 4), **running(dtype, 4), "dy": normal(dtype, (6, 4))})
        for dims, suffix, layout in layouts((3, 4, 5)):
            bad = normal(dtype, dims)
            bad[1, 2, 3] = np.nan
            add(f"NaN stays in its channel{suffix}", layout,
                {"x": bad, **affine(dtype, 4 if not layout else dims[-1]),
                 **running(dtype, 4 if not layout else dims[-1]), "dy": normal(dtype, dims)})

        # Masks. What is masked holds NaN, and so does its dy.
        def masked(shape, mask, layout, momentum=0.1, mode="train"):
            """x and dy of the channels-first `shape`, NaN where the mask (over N or N, 1, ...spatial) is 0."""
            spread = mask.reshape([-1, 1] + [1] * (len(shape) - 2)) if mask.ndim == 1 else mask
            hidden = np.broadcast_to(spread == 0, shape)
            tensors = {}
            for key in ("x", "dy"):
                values = normal(dtype, shape, 1 if key == "x" else 0)
                values[hidden] = np.nan
                tensors[key] = np.moveaxis(values, 1, -1) if layout else values
            return {"x": tensors["x"], **affine(dtype, shape[1]), **running(dtype, shape[1]), "mask": mask,
                    "dy": tensors["dy"]}

        rows = np.array([1, 0, 1, 1, 0], np.uint8)
        some = (suite.rng.uniform(size=(3, 1, 7)) < 0.6).astype(np.uint8)
        image = (suite.rng.uniform(size=(2, 1, 3, 5)) < 0.5).astype(np.uint8)
        few = np.array([[[0, 1, 0]], [[0, 0, 1]]], np.uint8)
        for layout, suffix in (({}, ""), ({"layout": "channels-last"}, ", channels-last")):
            add(f"mask of rows, x [5, 3]{suffix}", layout, masked((5, 3), rows, layout))
            add(f"mask of rows, x [5, 3, 4]{suffix}", layout, masked((5, 3, 4), rows, layout))
            add(f"mask of positions, x [3, 5, 7]{suffix}", layout, masked((3, 5, 7), some, layout))
            add(f"mask of positions, x [2, 3, 3, 5]{suffix}", layout, masked((2, 3, 3, 5), image, layout))
        add("mask [5, 1], x [5, 3]", {}, masked((5, 3), rows.reshape(5, 1), {}))
        add("mask leaves two values", {"momentum": 0.5}, masked((2, 3, 3), few, {}), scale=20)
        add("mask of ones", {}, masked((3, 4, 2), np.ones((3, 1, 2), np.uint8), {}))
        add("mask, biased running variance", {"unbiased_running_var": False}, masked((3, 5, 7), some, {}))
        add("mask in eval", {"mode": "eval"}, masked((3, 5, 7), some, {}))

        # Data far from zero.
        for base in OFFSETS[dtype]:
            for dims, suffix, layout in layouts((1, 2, 128 if dtype == F32 else 16)):
                if layout and base not in (1e4, 1e6):
                    continue
                x = np.moveaxis(alternating(dtype, (1, 2, max(dims)), base), 1, -1 if layout else 1)
                add(f"alternating {base:g}, {base:g} + 1, backward{suffix}", layout,
                    {"x": x, **running(dtype, 2), "dy": normal(dtype, dims, digits=3)},
                    **offset_tolerance(dtype, base))
            add(f"mean {base:g}, deviation 0.5, backward", {},
                {"x": normal(dtype, (17, 3), base, 0.5), **affine(dtype, 3), **running(dtype, 3),
                 "dy": normal(dtype, (17, 3))}, **offset_tolerance(dtype, base))
        spread = normal(dtype, (31, 4)) * np.array([1, 1e-2, 1e2, 1e4], dtype) + np.array([0, 1, -1e3, 1e6], dtype)
        add("channels of very different scale, eps 0", {"eps": 0},
            {"x": spread, **affine(dtype, 4), "dy": normal(dtype, (31, 4))}, only=["y", "dbias"],
            **({} if dtype == F32 else {"atol": 1e-11}))

    # Longer than any block a kernel may add up at a time; whole numbers and few outputs keep the file small.
    add("large: 5041 positions, statistics and sums", {},
        {"x": normal(F32, (1, 2, 71, 71), 3, 3, 0), **affine(F32, 2), **running(F32, 2),
         "dy": normal(F32, (1, 2, 71, 71), 0, 3, 0)}, only=["running_mean", "running_var", "dweight", "dbias"])
    add("large: 4201 rows, channels-last, statistics and sums", {"layout": "channels-last"},
        {"x": normal(F32, (4201, 1), 3, 3, 0), **affine(F32, 1), **running(F32, 1),
         "dy": normal(F32, (4201, 1), 0, 3, 0)}, only=["running_mean", "running_var", "dweight", "dbias"])
    add("large: many channels, channels-last", {"layout": "channels-last"},
        {"x": normal(F32, (3, 517), 3, 3, 0), "dy": normal(F32, (3, 517), 0, 3, 0)}, only=["y"])

    # Errors.
    x = normal(F32, (4, 3))
    volume = normal(F32, (2, 3, 4))
    channel_errors(suite, x, {}, 3)
    statistics = running(F32, 3)
    suite.error("one value per channel, [1, 3]", {}, {"x": x[:1], **statistics})
    suite.error("one value per channel, [1, 3, 1, 1]", {}, {"x": x[:1].reshape(1, 3, 1, 1)})
    suite.error("one value per channel, [1, 1, 3], channels-last", {"layout": "channels-last"},
                {"x": x[:1].reshape(1, 1, 3)})
    suite.error("mask leaves one value", {}, {"x": x, "mask": np.array([0, 1, 0, 0], np.uint8)})
    suite.error("mask leaves nothing", {}, {"x": volume, "mask": np.zeros((2, 1, 4), np.uint8)})
    suite.error("mask of another length", {}, {"x": x, "mask": np.ones(3, np.uint8)})
    suite.error("mask of another shape", {}, {"x": volume, "mask": np.ones((2, 1, 3), np.uint8)})
    suite.error("eval without running statistics", {"mode": "eval"}, {"x": x})
    suite.error("running_mean too short", {}, {"x": x, **statistics, "running_mean": np.zeros(2, F32)})
    suite.error("running_var too long", {"mode": "eval"}, {"x": x, **statistics, "running_var": np.ones(4, F32)})
    suite.error("unknown mode", {"mode": "predict"}, {"x": x, **statistics})


def channel_errors(suite, x, attrs, channels, required=None):
    """Bad input that every normalizer with one weight a channel refuses; `required` are its other inputs."""
    dtype, required = x.dtype, required or {}
    one = np.ones(channels, dtype)
    suite.error("x without elements", attrs, {"x": np.zeros((0,) + x.shape[1:], dtype), **required})
    suite.error("x without positions", attrs, {"x": np.zeros(x.shape[:2] + (0,), dtype), **required})
    suite.error("x has one dimension", attrs, {"x": one, **required})
    suite.error("fewer data than the shape says", attrs, {"x": malformed(x.ravel()[:-1], x.shape), **required})
    suite.error("more data than the shape says", attrs,
                {"x": malformed(np.append(x, x.ravel()[:1]), x.shape), **required})
    suite.error("weight too long", attrs, {"x": x, **required, "weight": np.append(one, one[:1])})
    suite.error("weight too short", attrs, {"x": x, **required, "weight": one[:-1]})
    suite.error("bias too long", attrs, {"x": x, **required, "bias": np.append(one, one[:1])})
    suite.error("negative eps", {**attrs, "eps": -1e-3}, {"x": x, **required})
    suite.error("dy of another shape", attrs,
                {"x": x, **required, "dy": np.ones((x.shape[0] + 1,) + x.shape[1:], dtype)})


# ---------------------------------------------------------------------------------------------------------------------
# sync_batch_norm: what the workers compute together is batch normalization of all their rows


@operation("sync_batch_norm")
def sync_batch_norm(suite):
    def add(name, attrs, inputs, **options):
        whole = {key: value for key, value in attrs.items() if key != "shards"}
        suite.add(name, attrs, inputs, run_batch_norm(whole, inputs), **options)

    normal = suite.normal

    def tensors(dtype, shape, mean=0.5, std=2.0, backward=True):
        return {"x": normal(dtype, shape, mean, std), **suite.affine(dtype, shape[1]), **suite.running(dtype, shape[1]),
                "dy": normal(dtype, shape) if backward else None}

    for dtype in (F32, F64):
        add("one shard", {"shards": [5]}, tensors(dtype, (5, 3)))
        add("equal shards", {"shards": [3, 3, 3], "eps": 1e-5, "momentum": 0.1}, tensors(dtype, (9, 5)))
        add("unequal shards", {"shards": [1, 4, 2], "momentum": 0.3}, tensors(dtype, (7, 3, 5)))
        add("one row a shard", {"shards": [1] * 5}, tensors(dtype, (5, 3)))
        add("empty shards", {"shards": [0, 3, 0, 2, 0]}, tensors(dtype, (5, 3, 2)))
        add("images", {"shards": [1, 2], "eps": 1e-3}, tensors(dtype, (3, 3, 3, 5)))
        add("forward only", {"shards": [2, 3]}, tensors(dtype, (5, 1, 2), backward=False))
        apart = tensors(dtype, (9, 3))
        apart["x"] = apart["x"] + np.repeat([0, 100, -50], [2, 4, 3])[:, None].astype(dtype)
        add("shards far apart", {"shards": [2, 4, 3]}, apart)
        for base in OFFSETS[dtype]:
            inputs = tensors(dtype, (4, 2, 8))
            inputs["x"] = alternating(dtype, (4, 2, 8), base)
            add(f"alternating {base:g}, {base:g} + 1", {"shards": [1, 3]}, inputs, **offset_tolerance(dtype, base))
            add(f"mean {base:g}, deviation 0.5", {"shards": [5, 1, 3]}, tensors(dtype, (9, 3), base, 0.5),
                **offset_tolerance(dtype, base))

    inputs = tensors(F32, (4, 3))
    required = {key: inputs[key] for key in ("weight", "bias", "running_mean", "running_var")}
    channel_errors(suite, inputs["x"], {"shards": [1, 3]}, 3, required)
    suite.error("shards hold fewer rows than x", {"shards": [1, 2]}, inputs)
    suite.error("shards hold more rows than x", {"shards": [4, 1]}, inputs)
    suite.error("negative shard", {"shards": [5, -1]}, inputs)
    suite.error("one value per channel", {"shards": [1, 0]}, tensors(F32, (1, 3)))
    suite.error("running_var too short", {"shards": [1, 3]}, {**inputs, "running_var": np.ones(2, F32)})


# ---------------------------------------------------------------------------------------------------------------------
# ghost_batch_norm


def ghost_batch_norm_forward(t, attrs):
    """Each ghost is a batch of its own; the running statistics see them one after the other."""
    running = {key: t[key] for key in ("running_mean", "running_var") if key in t}
    ys = []
    for ghost in torch.split(t["x"], attrs["ghost_batch_size"]):
        outputs = batch_norm_forward({**t, **running, "x": ghost}, attrs)
        ys.append(outputs.pop("y"))
        running = outputs
    return {"y": torch.cat(ys), **running}


@operation("ghost_batch_norm")
def ghost_batch_norm(suite):
    def add(name, attrs, inputs, **options):
        suite.add(name, attrs, inputs, evaluate(ghost_batch_norm_forward, attrs, inputs, AFFINE_GRADS), **options)

    normal = suite.normal

    def tensors(dtype, shape, mean=0.5, std=2.0):
        return {"x": normal(dtype, shape, mean, std), **suite.affine(dtype, shape[1]), **suite.running(dtype, shape[1]),
                "dy": normal(dtype, shape)}

    for dtype in (F32, F64):
        add("two ghosts", {"ghost_batch_size": 3, "eps": 1e-5, "momentum": 0.1}, tensors(dtype, (6, 3)))
        add("the last ghost is shorter", {"ghost_batch_size": 3}, tensors(dtype, (8, 5)))
        add("a ghost larger than the batch", {"ghost_batch_size": 64}, tensors(dtype, (5, 3)))
        add("a ghost as large as the batch", {"ghost_batch_size": 5}, tensors(dtype, (5, 3)))
        add("one row a ghost, spatial", {"ghost_batch_size": 1, "momentum": 0.3}, tensors(dtype, (3, 3, 5)))
        add("images, a last ghost of one row", {"ghost_batch_size": 2, "eps": 1e-3}, tensors(dtype, (3, 3, 3, 5)))
        add("biased running variance", {"ghost_batch_size": 3, "unbiased_running_var": False}, tensors(dtype, (6, 3)))
        plain = tensors(dtype, (7, 3, 2))
        add("no affine, no running statistics", {"ghost_batch_size": 4}, {"x": plain["x"], "dy": plain["dy"]})
        far = tensors(dtype, (8, 3))
        far["x"][4:] += dtype(100)
        add("ghosts far apart", {"ghost_batch_size": 4}, far)
        for base in OFFSETS[dtype]:
            add(f"mean {base:g}, deviation 0.5", {"ghost_batch_size": 5}, tensors(dtype, (10, 3), base, 0.5),
                **offset_tolerance(dtype, base))

    inputs = tensors(F32, (4, 3))
    channel_errors(suite, inputs["x"], {"ghost_batch_size": 2}, 3)
    suite.error("ghost_batch_size 0", {"ghost_batch_size": 0}, inputs)
    suite.error("ghost_batch_size negative", {"ghost_batch_size": -2}, inputs)
    suite.error("ghost_batch_size is not whole", {"ghost_batch_size": 1.5}, inputs)
    suite.error("one value per channel in every ghost", {"ghost_batch_size": 1}, inputs)
    suite.error("one value per channel in the last ghost", {"ghost_batch_size": 3}, inputs)
