"""Activations that normalize by themselves."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from .cases import F32, F64, agree, evaluate, malformed, operation

SELU_SCALE = 1.0507009873554804934193349852946
SELU_ALPHA = 1.6732632423543772848170429916717


def selu_forward(t, attrs):
    x = t["x"]
    negative = SELU_ALPHA * torch.expm1(torch.clamp(x, max=0))
    y = SELU_SCALE * torch.where(x > 0, x, negative)
    agree(y, F.selu(x), "selu")
    return {"y": y}


@operation("selu")
def selu(suite):
    def add(name, inputs, **options):
        outputs = evaluate(selu_forward, {}, inputs, {"dx": "x"})
        if "dy" in inputs:  # PyTorch's own gradient, which at 0 is the limit from below
            x = torch.tensor(np.asarray(inputs["x"], F64), requires_grad=True)
            F.selu(x).backward(torch.tensor(np.asarray(inputs["dy"], F64)))
            outputs["dx"] = x.grad.numpy()
        suite.add(name, {}, inputs, outputs, **options)

    normal = suite.normal

    for dtype in (F32, F64):
        for shape in ((1,), (3, 5), (17,), (2, 3, 1, 5), (127,)):
            add(f"{list(shape)}", {"x": normal(dtype, shape, 0, 2), "dy": normal(dtype, shape)})
        add("0", {"x": np.array([0.0, -0.0, 0.0], dtype), "dy": np.array([1, 2, -0.5], dtype)})
        tiny = np.array([-1e-3, -1e-5, -1e-8, -1e-12, -1e-30, 1e-30, 1e-8], dtype)
        add("next to 0", {"x": tiny}, atol=1e-36, rtol=1e-6 if dtype == F32 else 1e-12)
        add("next to 0, backward", {"x": tiny, "dy": np.ones(7, dtype)}, only=["dx"])
        add("far from 0", {"x": np.array([-1000, -100, -20, 20, 100, 1000], dtype), "dy": normal(dtype, 6)})
        add("NaN and Infinity", {"x": np.array([np.nan, np.inf, -np.inf, 1, -1], dtype)})

    x = normal(F32, (2, 3))
    suite.error("x without elements", {}, {"x": x[:0]})
    suite.error("fewer data than the shape says", {}, {"x": malformed(x.ravel()[:-1], x.shape)})
    suite.error("dy of another length", {}, {"x": x, "dy": normal(F32, (2, 2))})


def alpha_dropout_forward(t, attrs):
    """Dropped units take the value SELU tends to; a and b bring mean and variance back to 0 and 1."""
    low, q, keep = -SELU_SCALE * SELU_ALPHA, 1 - attrs["rate"], t["keep"]
    a = 1 / math.sqrt(q + low ** 2 * q * (1 - q))
    b = -a * (1 - q) * low
    return {"y": a * (t["x"] * keep + low * (1 - keep)) + b}


@operation("alpha_dropout")
def alpha_dropout(suite):
    def add(name, attrs, inputs, **options):
        suite.add(name, attrs, inputs, evaluate(alpha_dropout_forward, attrs, inputs, {"dx": "x"}), **options)

    normal = suite.normal

    def tensors(dtype, shape, rate):
        return {"x": normal(dtype, shape), "keep": (suite.rng.uniform(size=shape) >= rate).astype(np.uint8),
                "dy": normal(dtype, shape)}

    # Mean and variance of normal data survive: a check of the constants above.
    many = {"x": suite.rng.normal(size=1000000), "keep": suite.rng.uniform(size=1000000) >= 0.1}
    y = evaluate(alpha_dropout_forward, {"rate": 0.1}, many)["y"]
    agree([y.mean(), y.var()], [0, 1], "alpha_dropout", atol=5e-3)

    for dtype in (F32, F64):
        for rate, shape in ((0.1, (3, 17)), (0.05, (31,)), (0.5, (5, 3, 1)), (0.9, (2, 3, 1, 5)), (0.25, (127,))):
            add(f"rate {rate}, {list(shape)}", {"rate": rate}, tensors(dtype, shape, rate))
        add("rate 0", {"rate": 0}, tensors(dtype, (3, 5), 0))
        for value, name in ((0, "nothing"), (1, "everything")):
            inputs = tensors(dtype, (7,), 0.3)
            inputs["keep"][:] = value
            add(f"{name} kept", {"rate": 0.3}, inputs)

    inputs = tensors(F32, (2, 3), 0.3)
    suite.error("rate negative", {"rate": -0.1}, inputs)
    suite.error("rate 1", {"rate": 1}, inputs)
    suite.error("rate above 1", {"rate": 1.5}, inputs)
    suite.error("keep of another length", {"rate": 0.3}, {**inputs, "keep": np.ones((2, 2), np.uint8)})
    suite.error("dy of another length", {"rate": 0.3}, {**inputs, "dy": normal(F32, (3, 3))})
    suite.error("x without elements", {"rate": 0.3}, {"x": inputs["x"][:0], "keep": inputs["keep"][:0]})
    suite.error("fewer data than the shape says", {"rate": 0.3},
                {**inputs, "x": malformed(inputs["x"].ravel()[:-1], (2, 3))})
