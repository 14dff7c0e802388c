"""Normalizers over a neighbourhood: divisive and local response normalization."""

import numpy as np
import torch
import torch.nn.functional as F

from .cases import F32, F64, agree, evaluate, malformed, offset_tolerance, operation

# ---------------------------------------------------------------------------------------------------------------------
# divisive_norm


def box(z, window, count_include_pad):
    """Mean over all channels and a window of positions, zeros around the image."""
    height, width = window
    padded = F.pad(z.mean(1, keepdim=True), (width // 2, width // 2, height // 2, height // 2))
    inside = F.pad(torch.ones_like(z[:, :1]), (width // 2, width // 2, height // 2, height // 2))
    total, count = 0, 0
    for row in range(height):
        for column in range(width):
            part = slice(row, row + z.shape[2]), slice(column, column + z.shape[3])
            total = total + padded[:, :, part[0], part[1]]
            count = count + inside[:, :, part[0], part[1]]
    return total / (height * width if count_include_pad else count)


def divisive_norm_forward(t, attrs):
    x, window, include = t["x"], attrs["window"], attrs.get("count_include_pad", True)
    mean = box(x, window, include)
    agree(mean, F.avg_pool2d(x.mean(1, keepdim=True), window, 1, [side // 2 for side in window],
                             count_include_pad=include), "divisive_norm")
    v = x - mean
    return {"y": v / torch.sqrt(t["sigma"] ** 2 + box(v * v, window, include))}


@operation("divisive_norm")
def divisive_norm(suite):
    def add(name, attrs, inputs, **options):
        tensors = {**inputs, "sigma": np.array(attrs.get("sigma", 1), F64)}
        outputs = evaluate(divisive_norm_forward, attrs, tensors, {"dx": "x", "dsigma": "sigma"})
        suite.add(name, attrs, inputs, outputs, **options)

    normal = suite.normal

    def tensors(dtype, shape, mean=0.5, std=1.5):
        return {"x": normal(dtype, shape, mean, std), "dy": normal(dtype, shape)}

    for dtype in (F32, F64):
        for window, shape in (((3, 3), (2, 3, 5, 5)), ((1, 3), (1, 2, 3, 7)), ((5, 3), (1, 3, 4, 5)),
                              ((1, 1), (2, 5, 3, 1)), ((5, 5), (1, 1, 3, 3)), ((7, 1), (1, 2, 1, 5))):
            add(f"window {list(window)}, {list(shape)}",
                {"window": list(window), "sigma": 1, "count_include_pad": True}, tensors(dtype, shape))
        add("defaults", {"window": [3, 3]}, tensors(dtype, (1, 2, 4, 4)))
        add("small sigma", {"window": [3, 3], "sigma": 0.1}, tensors(dtype, (1, 2, 4, 5)))
        add("divided by what lies inside", {"window": [3, 5], "count_include_pad": False}, tensors(dtype, (1, 2, 4, 5)))
        add("a window larger than the image, inside only", {"window": [9, 9], "sigma": 0.5, "count_include_pad": False},
            tensors(dtype, (1, 2, 3, 4)))
        # Only where the padding does not count: with zeros in the mean the border keeps the offset.
        add("mean 10000, deviation 0.5, inside only", {"window": [3, 3], "count_include_pad": False},
            tensors(dtype, (1, 2, 4, 5), 1e4, 0.5), **offset_tolerance(dtype, 1e4))
        inputs = tensors(dtype, (1, 2, 3, 3))
        del inputs["dy"]
        add("forward only", {"window": [3, 3], "sigma": 0.5}, inputs)

    inputs = tensors(F32, (1, 2, 3, 4))
    x = inputs["x"]
    suite.error("x without elements", {"window": [3, 3]}, {"x": x[:0]})
    suite.error("x has three dimensions", {"window": [3, 3]}, {"x": x[0]})
    suite.error("fewer data than the shape says", {"window": [3, 3]}, {"x": malformed(x.ravel()[:-1], x.shape)})
    suite.error("even window", {"window": [2, 3]}, {"x": x})
    suite.error("window of 0", {"window": [3, 0]}, {"x": x})
    suite.error("window with a negative side", {"window": [-3, 3]}, {"x": x})
    suite.error("dy of another shape", {"window": [3, 3]}, {"x": x, "dy": normal(F32, (1, 2, 4, 3))})


# ---------------------------------------------------------------------------------------------------------------------
# local_response_norm


def local_response_norm_forward(t, attrs):
    x, size = t["x"], attrs["size"]
    square, channels, sums = x * x, x.shape[1], []
    for channel in range(channels):
        first, last = max(0, channel - size // 2), min(channels - 1, channel + (size - 1) // 2)
        sums.append(square[:, first:last + 1].sum(1))
    alpha, beta, k = attrs.get("alpha", 1e-4), attrs.get("beta", 0.75), attrs.get("k", 1)
    y = x / (k + alpha / size * torch.stack(sums, 1)) ** beta
    agree(y, F.local_response_norm(x, size, alpha, beta, k), "local_response_norm")
    return {"y": y}


@operation("local_response_norm")
def local_response_norm(suite):
    def add(name, attrs, inputs, **options):
        suite.add(name, attrs, inputs, evaluate(local_response_norm_forward, attrs, inputs, {"dx": "x"}), **options)

    normal = suite.normal

    def tensors(dtype, shape, std=3.0):
        return {"x": normal(dtype, shape, 0.5, std), "dy": normal(dtype, shape)}

    for dtype in (F32, F64):
        for size, shape in ((5, (2, 7, 3)), (3, (1, 5, 2, 3)), (1, (2, 3, 5)), (2, (1, 5, 3, 1)), (4, (1, 7, 1, 5)),
                            (9, (1, 3, 5)), (3, (1, 4, 2, 1, 3))):
            add(f"size {size}, {list(shape)}", {"size": size, "alpha": 0.5, "beta": 0.75, "k": 1},
                tensors(dtype, shape))
        add("defaults", {"size": 5}, tensors(dtype, (1, 7, 5), 100))
        add("Krizhevsky's constants", {"size": 5, "alpha": 5e-4, "beta": 0.75, "k": 2}, tensors(dtype, (1, 7, 5), 50))
        add("beta 0.5", {"size": 3, "alpha": 1, "beta": 0.5}, tensors(dtype, (1, 4, 5)))
        add("beta 1", {"size": 3, "alpha": 1, "beta": 1, "k": 0.1}, tensors(dtype, (1, 4, 5)))
        inputs = tensors(dtype, (1, 3, 4))
        inputs["x"][0, 1, 2] = np.nan
        del inputs["dy"]
        add("NaN reaches the neighbouring channels", {"size": 3}, inputs)

    x = normal(F32, (2, 3, 4))
    suite.error("x without elements", {"size": 3}, {"x": x[:0]})
    suite.error("fewer data than the shape says", {"size": 3}, {"x": malformed(x.ravel()[:-1], x.shape)})
    suite.error("size 0", {"size": 0}, {"x": x})
    suite.error("size negative", {"size": -1}, {"x": x})
    suite.error("size is not whole", {"size": 2.5}, {"x": x})
    suite.error("dy of another shape", {"size": 3}, {"x": x, "dy": normal(F32, (2, 4, 3))})
