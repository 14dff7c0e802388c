"""What every module here shares: how a case is built, how tensors are encoded, where tolerances come from."""

import functools
import json
import math
import zlib

import numpy as np
import torch

torch.set_num_threads(1)  # the order of a sum must not depend on the machine

F32, F64 = np.float32, np.float64

OPERATIONS = {}


def operation(name):
    """Registers the function that fills the suite of one operation."""

    def register(fill):
        @functools.wraps(fill)
        def cases():
            suite = Suite(name)
            fill(suite)
            return suite.cases

        OPERATIONS[name] = cases
        return cases

    return register


# ---------------------------------------------------------------------------------------------------------------------
# Encoding


def number(value):
    """A JSON value: non-finite numbers are strings, whole numbers drop their fraction."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == int(value) and abs(value) < 1e15 and not (value == 0 and math.copysign(1, value) < 0):
        return int(value)
    return value


def encode_input(array):
    """Numbers as the shortest decimal that gives the same float32 (or float64) back."""
    if isinstance(array, dict):  # already encoded: a malformed tensor of an error case
        return array
    array = np.asarray(array)
    dtype = {"float32": "float32", "float64": "float64", "uint8": "uint8"}[array.dtype.name]
    if dtype == "float32":
        data = [float(str(value)) for value in array.ravel()]
        assert np.array_equal(np.array(data).astype(F32), array.ravel(), equal_nan=True)
    else:
        data = [float(value) for value in array.ravel()]
    return {"dtype": dtype, "shape": list(array.shape), "data": [number(value) for value in data]}


def encode_output(array, dtype, tolerance):
    """float64 results, with enough digits for the tolerance and no more (a thousandth of atol, a hundredth of rtol)."""
    array = np.asarray(array, dtype=F64)
    digits = 7 if dtype == F32 else 13
    data = [float(f"{value:.{digits}g}") for value in array.ravel().tolist()]
    if tolerance["atol"] > 0:
        decimals = 3 - math.floor(math.log10(tolerance["atol"]))
        data = [round(value, decimals) + 0.0 if math.isfinite(value) else value for value in data]  # + 0.0: no -0
    return {"dtype": np.dtype(dtype).name, "shape": list(array.shape), "data": [number(value) for value in data]}


def malformed(array, shape):
    """A tensor whose shape does not describe its data."""
    return {**encode_input(array), "shape": list(shape)}


def serialize(case):
    return json.dumps(case, separators=(",", ":"), allow_nan=False)


def write(path, cases):
    text = "[\n" + ",\n".join(serialize(case) for case in cases) + "\n]\n"
    path.write_text(text)
    return len(text)


# ---------------------------------------------------------------------------------------------------------------------
# Building cases


class Suite:
    """The cases of one operation, with the generator their data come from."""

    def __init__(self, op):
        self.op = op
        self.cases = []
        self.rng = np.random.default_rng(zlib.crc32(op.encode()))

    # Data. Three decimals keep the files short and still fill the whole binary mantissa.

    def normal(self, dtype, shape, mean=0.0, std=1.0, digits=3):
        return (np.round(self.rng.normal(mean, std, shape), digits) + 0.0).astype(dtype)  # + 0.0: no -0

    def uniform(self, dtype, shape, low, high, digits=3):
        return np.round(self.rng.uniform(low, high, shape), digits).astype(dtype)

    def affine(self, dtype, shape):
        """A weight around 1 with some negative entries, and a bias."""
        sign = np.where(self.rng.uniform(size=shape) < 0.2, -1, 1)
        return {"weight": (sign * self.uniform(F64, shape, 0.5, 1.5)).astype(dtype),
                "bias": self.normal(dtype, shape, 0, 0.5)}

    def running(self, dtype, channels):
        return {"running_mean": self.normal(dtype, channels, 0, 0.5),
                "running_var": self.uniform(dtype, channels, 0.5, 2)}

    # Cases.

    def add(self, name, attrs, inputs, outputs, atol=None, rtol=None, scale=None, terms=None, only=None):
        inputs = {key: value for key, value in inputs.items() if value is not None}
        if only:
            outputs = {key: outputs[key] for key in only}
        if atol is None and scale is None:
            # An output twenty times larger than another would blunt the tolerance of both: a case of its own.
            sizes = {key: largest(value) for key, value in outputs.items() if not key.startswith(WELL_CONDITIONED)}
            large = [key for key, size in sizes.items() if size > 20 * max(1.0, min(sizes.values()))]
            if large:
                small = [key for key in outputs if key not in large]
                common = {"rtol": rtol, "terms": terms}
                self.add(f"{name}, {', '.join(large)}", attrs, inputs, outputs, scale=max(sizes.values()), only=large,
                         **common)
                self.add(name, attrs, inputs, outputs, only=small, **common)
                return
        dtype = precision(inputs)
        tolerance = derive_tolerance(dtype, inputs, outputs, scale, terms)
        if atol is not None:
            tolerance["atol"] = atol
        if rtol is not None:
            tolerance["rtol"] = rtol
        self._append({
            "op": self.op, "name": f"{name}, {'f32' if dtype == F32 else 'f64'}", "attrs": attrs,
            "inputs": {key: encode_input(value) for key, value in inputs.items()},
            "outputs": {key: encode_output(value, dtype, tolerance) for key, value in outputs.items()},
            "tolerance": tolerance})

    def error(self, name, attrs, inputs):
        inputs = {key: value for key, value in inputs.items() if value is not None}
        self._append({
            "op": self.op, "name": f"throws: {name}", "attrs": attrs,
            "inputs": {key: encode_input(value) for key, value in inputs.items()},
            "outputs": {"error": True}, "tolerance": {"atol": 0, "rtol": 0}})

    def _append(self, case):
        # Long cases exist in float32 only: float64 output takes twice the room and repeats what the shape has shown.
        twin = case["name"].replace(", f64", ", f32") in [other["name"] for other in self.cases]
        if twin and case["name"].endswith(", f64") and len(serialize(case)) > 4000:
            return
        assert case["name"] not in [other["name"] for other in self.cases], f"{self.op}: two cases {case['name']!r}"
        self.cases.append(case)


def precision(inputs):
    dtypes = {np.asarray(value).dtype for value in inputs.values() if not isinstance(value, dict)}
    return F64 if np.dtype(F64) in dtypes or not dtypes else F32


def largest(array):
    """The largest magnitude among the finite numbers."""
    magnitudes = np.abs(np.asarray(array, dtype=F64))
    return magnitudes[np.isfinite(magnitudes)].max(initial=0)


# Sums without cancellation, or numbers the data are measured in: their own magnitude (rtol) is what bounds the error.
WELL_CONDITIONED = ("running", "dweight", "dbias", "mean", "var", "scale", "count", "center", "min", "max",
                    "covariance", "eigenvalues", "inverse")


def derive_tolerance(dtype, inputs, outputs, scale=None, terms=None):
    """One tolerance a case.

    Elements: an output is the end of a chain of some ten roundings, none of them of a number larger than the largest
    output, so that 16 units of rounding (2**-24 = 6e-8 in float32: 1e-6; twice that is allowed) of that largest number
    (`scale`) bound the error where an output cancels to almost nothing.
    Sums (dweight, dbias): `terms` numbers as large as dy, each with its own rounding errors, are added; such errors
    grow as the root of their number.
    float64 results could be held to 1e-15 in the same way; 1e-12 leaves room for another order of summation.
    """
    unit = 1e-6 if dtype == F32 else 1e-12
    if scale is None:
        scale = max([1.0] + [largest(value) for key, value in outputs.items() if not key.startswith(WELL_CONDITIONED)])
    atol = 2 * unit * scale
    if terms is None:
        sums = [np.size(outputs[key]) for key in ("dweight", "dbias") if key in outputs]
        terms = np.size(inputs["x"]) / min(sums) if sums and "x" in inputs else 0
    if terms and "dy" in inputs:
        dy = np.asarray(inputs["dy"], dtype=F64)
        atol = max(atol, unit * math.sqrt(terms) * math.sqrt(np.nanmean(dy ** 2)))
    return {"atol": float(f"{atol:.2g}"), "rtol": 10 * unit}


# ---------------------------------------------------------------------------------------------------------------------
# Computing them


def evaluate(forward, attrs, inputs, grads=None, pairs=(("dy", "y"),), dtype=torch.float64):
    """Runs `forward(tensors, attrs)` in float64 and differentiates it.

    `grads` maps the name of a gradient to the input it belongs to; `pairs` names the incoming gradients and the outputs
    they come in at. Inputs that are absent have no gradient.
    """
    grads = {key: source for key, source in (grads or {}).items() if inputs.get(source) is not None}
    tensors = {key: torch.tensor(np.asarray(value, dtype=F64), dtype=dtype, requires_grad=key in grads.values())
               for key, value in inputs.items() if value is not None}
    outputs = forward(tensors, attrs)
    incoming = [(outputs[output], tensors[name]) for name, output in pairs if name in tensors]
    results = dict(outputs)
    if incoming and grads:
        gradients = torch.autograd.grad([output for output, _ in incoming], [tensors[s] for s in grads.values()],
                                        [gradient for _, gradient in incoming], allow_unused=True)
        for (key, source), gradient in zip(grads.items(), gradients):
            results[key] = torch.zeros_like(tensors[source]) if gradient is None else gradient
    return {key: value.detach().numpy() for key, value in results.items() if value is not None}


def measured_tolerance(forward, attrs, inputs, outputs, *arguments):
    """For long chains of operations: eight times what running the reference in float32 loses.

    float64 loses 2**-29 of that; a thousandfold is allowed, as in derive_tolerance.
    """
    single = evaluate(forward, attrs, inputs, *arguments, dtype=torch.float32)
    loss = max(np.abs(single[key].astype(F64) - value).max() for key, value in outputs.items())
    if precision(inputs) == F32:
        return {"atol": float(f"{max(2e-6, 8 * loss):.2g}")}
    return {"atol": float(f"{max(2e-12, 8 * loss * 1e-6):.2g}")}


def agree(ours, theirs, what, atol=1e-9, rtol=1e-9):
    """Stops the run when two independent references differ."""
    ours, theirs = (np.asarray(v.detach() if isinstance(v, torch.Tensor) else v, dtype=F64) for v in (ours, theirs))
    assert ours.shape == theirs.shape, f"{what}: shapes {ours.shape} and {theirs.shape}"
    assert np.allclose(ours, theirs, atol=atol, rtol=rtol, equal_nan=True), \
        f"{what}: {np.nanmax(np.abs(ours - theirs))} apart"


def centre(x, dims, valid=None):
    """x minus its mean, the mean and the biased variance over `dims`, in two passes.

    The first mean is only a shift near the data (autograd sees a constant), the second one is exact: PyTorch's own
    normalizers lose digits where the mean is a million deviations away. `valid` leaves elements out.
    """
    if valid is None:
        valid = torch.ones_like(x, dtype=torch.bool)
    zero = torch.zeros((), dtype=x.dtype)
    n = valid.sum(dims, keepdim=True)
    shift = (torch.where(valid, x, zero).sum(dims, keepdim=True) / n).detach()
    d = torch.where(valid, x - shift, zero)
    rest = d.sum(dims, keepdim=True) / n
    d = torch.where(valid, d - rest, zero)
    return d, shift + rest, (d * d).sum(dims, keepdim=True) / n


def channels_first(x, attrs):
    return x.movedim(-1, 1) if attrs.get("layout") == "channels-last" else x


def restore_layout(x, attrs):
    return x.movedim(1, -1) if attrs.get("layout") == "channels-last" else x


def per_channel(parameter, x):
    """A vector of C numbers, ready to broadcast against [N, C, ...spatial]."""
    return parameter.reshape([1, -1] + [1] * (x.dim() - 2))


def scale_and_shift(x, t):
    if "weight" in t:
        x = x * per_channel(t["weight"], x)
    if "bias" in t:
        x = x + per_channel(t["bias"], x)
    return x


AFFINE_GRADS = {"dx": "x", "dweight": "weight", "dbias": "bias"}


def alternating(dtype, shape, base):
    """base, base + 1, base, ... along the last axis: deviation 0.5 however large the base, exact in float32."""
    return (base + np.arange(math.prod(shape)) % 2).reshape(shape).astype(dtype)


OFFSETS = {F32: (1e3, 1e4, 1e5, 1e6), F64: (1e4, 1e6)}


def offset_tolerance(dtype, base):
    """For data of mean `base` and deviation 0.5.

    float32 data are exact and their statistics belong in float64: nothing gets worse. In float64 the mean is known to
    half a unit of its last place, which y and dx see as base * 1e-16 / 0.5; twenty times that is allowed.
    """
    return {"rtol": 1e-6} if dtype == F32 else {"atol": max(2e-12, 4e-15 * base)}
