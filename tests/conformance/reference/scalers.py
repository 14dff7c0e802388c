"""Scalers of data: rows are samples, columns are features. Literal formulas, held against scikit-learn's classes."""

import warnings

import numpy as np
import torch
from sklearn import datasets, preprocessing

from .cases import F32, F64, agree, alternating, evaluate, malformed, operation

warnings.filterwarnings("ignore", category=RuntimeWarning)  # NaN means missing here


def slices(x, chunks):
    ends = np.cumsum(chunks or [len(x)])
    assert ends[-1] == len(x)
    return [slice(end - size, end) for end, size in zip(ends, chunks or [len(x)])]


def column_moments(x, sample_weight=None):
    """Count, mean and biased variance of each column, NaN left out; two passes, the second around the first's mean."""
    x = np.asarray(x, F64)
    weight = np.where(np.isnan(x), 0, 1 if sample_weight is None else np.asarray(sample_weight, F64)[:, None])
    count = weight.sum(0)
    x = np.where(np.isnan(x), 0, x)
    shift = (weight * x).sum(0) / count
    rest = (weight * (x - shift)).sum(0) / count
    return count, shift + rest, (weight * (x - shift - rest) ** 2).sum(0) / count


def add_scaler(suite, name, attrs, inputs, outputs, only=None, **options):
    """Adds a case; where data are larger than y, inverse becomes a case of its own.

    y carries the rounding of its own magnitude, and inverse multiplies it up to that of the data.
    """
    outputs = {key: value for key, value in outputs.items() if not only or key in only}
    size = np.nanmax(np.abs(np.asarray(inputs["x"], F64)))
    if "inverse" in outputs and size > 10:
        unit = 5e-7 if inputs["x"].dtype == F32 else 1e-14
        suite.add(f"{name}, inverse", attrs, inputs, {"inverse": outputs.pop("inverse")},
                  atol=float(f"{unit * size:.2g}"), rtol=10 * unit)
    suite.add(name, attrs, inputs, outputs, **options)


def standard_scaler_reference(attrs, inputs):
    """Independent of `chunks`: fitting part by part must give what fitting at once gives."""
    x, sample_weight = np.asarray(inputs["x"], F64), inputs.get("sample_weight")
    with_mean, with_std, ddof = attrs.get("with_mean", True), attrs.get("with_std", True), attrs.get("ddof", 0)
    count, mean, biased = column_moments(x, sample_weight)
    var = biased * count / (count - ddof)
    # scikit-learn's rule: a variance that rounding errors of the mean could have made is none.
    unit = np.finfo(F64).eps
    constant = biased <= count * unit * biased + (count * mean * unit) ** 2
    scale = np.where(constant, 1, np.sqrt(var))
    y = (x - mean if with_mean else x) / (scale if with_std else 1)
    outputs = {"y": y, "inverse": x}
    if with_mean:
        outputs["mean"] = mean
    if with_std:
        outputs.update(var=var, scale=scale)

    if ddof == 0:
        scaler = preprocessing.StandardScaler(with_mean=with_mean, with_std=with_std)
        for part in slices(x, attrs.get("chunks")):
            if np.isnan(x[part]).all(0).any():
                return outputs  # scikit-learn loses count when a part holds nothing of a column
            scaler.partial_fit(x[part], sample_weight=None if sample_weight is None else sample_weight[part])
        if with_mean:
            agree(mean, scaler.mean_, "standard_scaler mean")
        if with_std:
            agree(scale, scaler.scale_, "standard_scaler scale", rtol=1e-7)
        tolerance = max(1e-9, 1e-13 * np.nanmax(np.abs(x)) / np.nanmin(scale))
        agree(y, scaler.transform(x), "standard_scaler y", atol=tolerance)
        agree(x, scaler.inverse_transform(scaler.transform(x)), "standard_scaler inverse")
    else:
        agree(np.nanstd(x, axis=0, ddof=ddof), np.sqrt(var), "standard_scaler ddof", rtol=1e-7)
    return outputs


def numacc(first, low, high, pairs=500):
    """One of NIST's NumAcc series: certified mean `first`, certified sample deviation 0.1."""
    return np.array([first] + [low, high] * pairs, F64)[:, None]


def dataset(name, dtype, rows=slice(None), columns=slice(None)):
    return getattr(datasets, f"load_{name}")().data[rows, columns].astype(dtype)


@operation("standard_scaler")
def standard_scaler(suite):
    def add(name, attrs, inputs, **options):
        add_scaler(suite, name, attrs, inputs, standard_scaler_reference(attrs, inputs), **options)

    normal = suite.normal

    for dtype in (F32, F64):
        for shape in ((3, 1), (5, 3), (17, 5), (31, 3), (127, 1)):
            add(f"{list(shape)}", {}, {"x": normal(dtype, shape, 1, 3)})
        add("one row", {}, {"x": normal(dtype, (1, 5), 1, 3)})
        add("chunks of unequal size", {"chunks": [1, 7, 3, 12]}, {"x": normal(dtype, (23, 3), -2, 3)})
        add("chunks far apart", {"chunks": [5, 4, 1]},
            {"x": normal(dtype, (10, 2)) + np.repeat([0, 100, -50], [5, 4, 1])[:, None].astype(dtype)})
        add("one row a chunk", {"chunks": [1] * 9}, {"x": normal(dtype, (9, 3), 4, 2)})
        add("one chunk", {"chunks": [6]}, {"x": normal(dtype, (6, 2))})
        add("without mean", {"with_mean": False}, {"x": normal(dtype, (7, 3), 2, 3)})
        add("without std", {"with_std": False}, {"x": normal(dtype, (7, 3), 2, 3)})
        add("without either", {"with_mean": False, "with_std": False}, {"x": normal(dtype, (7, 3), 2, 3)})
        add("ddof 1", {"ddof": 1}, {"x": normal(dtype, (7, 3), 2, 3)})
        add("ddof 1, chunks", {"ddof": 1, "chunks": [2, 5]}, {"x": normal(dtype, (7, 3), 2, 3)})

        constant = normal(dtype, (6, 4))
        constant[:, 0], constant[:, 1], constant[:, 3] = 0, 1000.5, 0.1
        add("constant columns", {}, {"x": constant})
        add("constant columns, chunks", {"chunks": [2, 1, 3]}, {"x": constant})
        add("constant columns, ddof 1", {"ddof": 1}, {"x": constant})

        missing = normal(dtype, (11, 4), 1, 2)
        missing[suite.rng.uniform(size=missing.shape) < 0.3] = np.nan
        missing[[0, 10]] = normal(dtype, (2, 4), 1, 2)
        add("NaN is missing", {}, {"x": missing})
        add("NaN is missing, chunks", {"chunks": [4, 2, 5]}, {"x": missing})
        hole = missing.copy()
        hole[4:6, 2] = np.nan
        add("NaN is missing, a chunk without a value of a column", {"chunks": [4, 2, 5]}, {"x": hole})
        add("NaN is missing, without mean", {"with_mean": False}, {"x": missing})

        weights = suite.uniform(dtype, 9, 0.1, 3)
        add("sample_weight", {}, {"x": normal(dtype, (9, 3), 2, 3), "sample_weight": weights})
        add("sample_weight of whole numbers", {},
            {"x": normal(dtype, (5, 3), 2, 3), "sample_weight": np.array([1, 3, 2, 1, 5], dtype)})
        add("sample_weight, some 0, chunks", {"chunks": [4, 5]},
            {"x": normal(dtype, (9, 3), 2, 3), "sample_weight": weights * (np.arange(9) % 3 != 1)})
        add("sample_weight and NaN", {}, {"x": missing[:9], "sample_weight": weights})

        for base in (1e3, 1e6):
            # float32: everything is right to its own rounding. float64: see offset_tolerance; merging rounds again.
            options = {"rtol": 1e-6} if dtype == F32 else {"atol": 4e-15 * base}
            add(f"alternating {base:g}, {base:g} + 1", {}, {"x": alternating(dtype, (256, 1), base)}, **options)
            add(f"alternating {base:g}, {base:g} + 1, chunks", {"chunks": [1, 100, 3, 24]},
                {"x": alternating(dtype, (128, 1), base)}, **options)
            add(f"mean {base:g}, deviation 0.5, ddof 1", {"ddof": 1}, {"x": normal(dtype, (31, 3), base, 0.5)},
                **options)
        spread = normal(dtype, (17, 4), 1, 1) * np.array([1e-3, 1, 1e3, 1e6], dtype)
        add("columns of very different scale", {}, {"x": spread}, only=["y"])
        add("columns of very different scale, statistics", {}, {"x": spread}, only=["mean", "var", "scale"], atol=1e-12)

        add("iris", {}, {"x": dataset("iris", dtype, slice(0, 150, 4))})
        add("wine, chunks", {"chunks": [12, 1, 5]}, {"x": dataset("wine", dtype, slice(0, 178, 10))})
        add("breast cancer", {}, {"x": dataset("breast_cancer", dtype, slice(10), slice(0, 30, 3))})
        add("digits, ddof 1", {"ddof": 1}, {"x": dataset("digits", dtype, slice(10), slice(16, 40))})
        diabetes = dataset("diabetes", dtype, slice(15))
        add("diabetes", {}, {"x": diabetes}, only=["y"])
        add("diabetes, statistics", {}, {"x": diabetes}, only=["mean", "var", "scale"], atol=1e-12)

    # NIST Statistical Reference Datasets, univariate: certified sample standard deviation 1 and 0.1. The decimals
    # 1000000.1 and so on are not binary fractions: what float64 holds has that deviation to some 1e-9 only.
    for name, x, deviation in (("NumAcc1", np.array([[10000001.0], [10000003.0], [10000002.0]]), 1),
                               ("NumAcc2", numacc(1.2, 1.1, 1.3), 0.1),
                               ("NumAcc3", numacc(1000000.2, 1000000.1, 1000000.3), 0.1),
                               ("NumAcc4", numacc(10000000.2, 10000000.1, 10000000.3), 0.1)):
        outputs = standard_scaler_reference({"ddof": 1}, {"x": x})
        agree(outputs["scale"], [deviation], name, rtol=2e-8)
        suite.add(f"NIST {name}", {"ddof": 1}, {"x": x}, {key: outputs[key] for key in ("mean", "var", "scale")},
                  atol=1e-10, rtol=1e-13)
    # Variance below what the rounding of the mean can hide: scikit-learn calls the column constant.
    add("almost constant column", {}, {"x": np.array([[1e15], [1e15 + 0.125], [1e15]])}, atol=1e-3, only=["scale"])

    add("2503 rows, statistics", {}, {"x": normal(F32, (2503, 3), 7, 3, 0)}, only=["mean", "var", "scale"], rtol=1e-6)
    add("5009 rows, statistics, chunks, float64", {"chunks": [4100, 909]}, {"x": normal(F64, (5009, 1), 7, 3, 0)},
        only=["mean", "var", "scale"])

    x = normal(F32, (6, 3))
    scaler_errors(suite, x, {})
    suite.error("sample_weight too short", {}, {"x": x, "sample_weight": np.ones(5, F32)})
    suite.error("sample_weight too long", {"chunks": [3, 3]}, {"x": x, "sample_weight": np.ones(7, F32)})


def scaler_errors(suite, x, attrs, chunks=True):
    """Bad input that every scaler refuses."""
    dtype = x.dtype
    suite.error("x without rows", attrs, {"x": np.zeros((0, x.shape[1]), dtype)})
    suite.error("x without columns", attrs, {"x": np.zeros((x.shape[0], 0), dtype)})
    suite.error("fewer data than the shape says", attrs, {"x": malformed(x.ravel()[:-1], x.shape)})
    suite.error("more data than the shape says", attrs, {"x": malformed(np.append(x, x.ravel()[:1]), x.shape)})
    suite.error("x has one dimension", attrs, {"x": x[:, 0]})
    if chunks:
        suite.error("chunks hold fewer rows than x", {**attrs, "chunks": [len(x) - 2, 1]}, {"x": x})
        suite.error("chunks hold more rows than x", {**attrs, "chunks": [len(x), 1]}, {"x": x})


# ---------------------------------------------------------------------------------------------------------------------
# min_max_scaler


def min_max_scaler_reference(attrs, inputs):
    x = np.asarray(inputs["x"], F64)
    new = np.asarray(inputs.get("x_new", inputs["x"]), F64)
    low, high = attrs.get("feature_range", [0, 1])
    least, most = np.nanmin(x, 0), np.nanmax(x, 0)
    extent = np.where(most - least < 10 * np.finfo(F64).eps, 1, most - least)  # scikit-learn's near-constant rule
    y = low + (new - least) * ((high - low) / extent)
    if attrs.get("clip", False):
        y = np.clip(y, low, high)  # keeps NaN
    inverse = (y - low) / (high - low) * extent + least

    scaler = preprocessing.MinMaxScaler(feature_range=(low, high), clip=attrs.get("clip", False))
    for part in slices(x, attrs.get("chunks")):
        if np.isnan(x[part]).all(0).any():
            scaler.fit(x)  # scikit-learn's partial_fit loses the column when a part holds nothing of it
            break
        scaler.partial_fit(x[part])
    tolerance = max(1e-9, 1e-13 * np.nanmax(np.abs(x)) / np.nanmin(extent))
    agree(least, scaler.data_min_, "min_max_scaler min")
    agree(most, scaler.data_max_, "min_max_scaler max")
    agree(y, scaler.transform(new), "min_max_scaler y", atol=tolerance)
    agree(inverse, scaler.inverse_transform(y), "min_max_scaler inverse")
    return {"min": least, "max": most, "y": y, "inverse": inverse}


@operation("min_max_scaler")
def min_max_scaler(suite):
    def add(name, attrs, inputs, **options):
        add_scaler(suite, name, attrs, inputs, min_max_scaler_reference(attrs, inputs), **options)

    normal = suite.normal

    for dtype in (F32, F64):
        for shape in ((2, 1), (5, 3), (17, 5), (31, 3), (127, 1)):
            add(f"{list(shape)}", {"feature_range": [0, 1]}, {"x": normal(dtype, shape, 1, 3)})
        add("one row gives the lower end", {"feature_range": [-1, 1]}, {"x": normal(dtype, (1, 5))})
        add("range -1 to 1", {"feature_range": [-1, 1]}, {"x": normal(dtype, (7, 3), 1, 3)})
        add("range 5 to 7.5", {"feature_range": [5, 7.5]}, {"x": normal(dtype, (7, 3), 1, 3)})
        add("chunks", {"chunks": [3, 1, 8]}, {"x": normal(dtype, (12, 3), 1, 3)})
        new = {"x": normal(dtype, (7, 3), 1, 2), "x_new": normal(dtype, (5, 3), 1, 4)}
        add("new data beyond the range", {}, new)
        add("new data, clipped", {"clip": True}, new)
        add("new data, clipped to -1 and 1", {"clip": True, "feature_range": [-1, 1], "chunks": [2, 5]}, new)
        constant = normal(dtype, (6, 4))
        constant[:, 0], constant[:, 1], constant[:, 3] = 0, 1000.5, -0.1
        add("constant columns", {"feature_range": [-2, 3]}, {"x": constant})
        add("constant columns, new data", {}, {"x": constant, "x_new": constant + dtype(0.25)})
        missing = normal(dtype, (11, 4), 1, 2)
        missing[suite.rng.uniform(size=missing.shape) < 0.3] = np.nan
        missing[[0, 10]] = normal(dtype, (2, 4), 1, 2)
        add("NaN is missing", {}, {"x": missing})
        add("NaN is missing, first row of it, chunks", {"chunks": [2, 9]}, {"x": np.roll(missing, -2, 0)})
        add("NaN is kept when clipped", {"clip": True}, {"x": missing[:5], "x_new": missing[3:] * dtype(2)})
        for base in (1e3, 1e6):
            options = {"rtol": 1e-6} if dtype == F32 else {"atol": 1e-15 * base}
            add(f"alternating {base:g}, {base:g} + 1", {}, {"x": alternating(dtype, (31, 1), base)}, **options)
            add(f"mean {base:g}, deviation 0.5", {"feature_range": [-1, 1]}, {"x": normal(dtype, (31, 3), base, 0.5)},
                **options)
        add("columns of very different scale", {},
            {"x": normal(dtype, (17, 4), 1, 1) * np.array([1e-3, 1, 1e3, 1e6], dtype)}, only=["min", "max", "y"])
        add("iris", {}, {"x": dataset("iris", dtype, slice(0, 150, 6))})
        add("wine, -1 to 1, chunks", {"feature_range": [-1, 1], "chunks": [11, 1, 3]},
            {"x": dataset("wine", dtype, slice(0, 178, 12))})
        add("digits", {}, {"x": dataset("digits", dtype, slice(7), slice(16, 40))})
    add("almost constant column", {}, {"x": np.array([[1e-16, 1], [3e-16, 2], [2e-16, 4]])})
    add("2503 rows, statistics", {}, {"x": normal(F32, (2503, 3), 7, 30, 0)}, only=["min", "max"])

    x = normal(F32, (6, 3))
    scaler_errors(suite, x, {})
    suite.error("feature_range reversed", {"feature_range": [1, 0]}, {"x": x})
    suite.error("feature_range empty", {"feature_range": [1, 1]}, {"x": x})
    suite.error("x_new has another number of columns", {}, {"x": x, "x_new": normal(F32, (6, 2))})


# ---------------------------------------------------------------------------------------------------------------------
# merge_moments


@operation("merge_moments")
def merge_moments(suite):
    def add(name, attrs, inputs, **options):
        x = np.asarray(inputs["x"], F64)
        _, mean, var = column_moments(x)
        agree(var, x.var(0), "merge_moments", atol=1e-6)
        suite.add(name, attrs, inputs, {"count": np.array(len(x)), "mean": mean, "var": var}, **options)

    normal = suite.normal

    for dtype in (F32, F64):
        add("one chunk", {"chunks": [5]}, {"x": normal(dtype, (5, 3), 1, 2)})
        add("two chunks", {"chunks": [3, 4]}, {"x": normal(dtype, (7, 1), 1, 2)})
        add("unequal chunks", {"chunks": [1, 16, 2, 12]}, {"x": normal(dtype, (31, 5), 1, 2)})
        add("one row a chunk", {"chunks": [1] * 17}, {"x": normal(dtype, (17, 3), 1, 2)})
        add("an empty chunk changes nothing", {"chunks": [4, 0, 3]}, {"x": normal(dtype, (7, 3), 1, 2)})
        apart = normal(dtype, (12, 2)) + np.repeat([0, 1000, -500], [5, 4, 3])[:, None].astype(dtype)
        add("chunks far apart", {"chunks": [5, 4, 3]}, {"x": apart})
        for base in (1e3, 1e6):
            options = {"rtol": 1e-6} if dtype == F32 else {"atol": 1e-15 * base}
            add(f"alternating {base:g}, {base:g} + 1", {"chunks": [100, 1, 27, 128]},
                {"x": alternating(dtype, (256, 1), base)}, **options)
            add(f"mean {base:g}, deviation 0.5", {"chunks": [10, 20, 1]}, {"x": normal(dtype, (31, 3), base, 0.5)},
                **options)
        constant = np.full((9, 2), [0.1, 1e6], dtype)
        add("constant columns", {"chunks": [2, 3, 4]}, {"x": constant}, **({} if dtype == F32 else {"atol": 1e-9}))
        add("wine", {"chunks": [25, 1, 10]}, {"x": dataset("wine", dtype, slice(None, None, 5))})
    # sum = mean * n would overflow, or lose the small chunk; merging differences of means does neither.
    add("a large chunk and a row", {"chunks": [4999, 1]}, {"x": normal(F32, (5000, 1), 500, 30, 0)}, rtol=1e-6)
    add("squares close to overflow", {"chunks": [3, 2]},
        {"x": np.array([[1.0], [1.5], [1.25], [0.5], [0.75]]) * 1e153}, atol=0)

    x = normal(F32, (6, 3))
    suite.error("x without rows", {"chunks": [0]}, {"x": x[:0]})
    suite.error("fewer data than the shape says", {"chunks": [6]}, {"x": malformed(x.ravel()[:-1], x.shape)})
    suite.error("chunks hold fewer rows than x", {"chunks": [2, 3]}, {"x": x})
    suite.error("chunks hold more rows than x", {"chunks": [4, 3]}, {"x": x})
    suite.error("negative chunk", {"chunks": [7, -1]}, {"x": x})


# ---------------------------------------------------------------------------------------------------------------------
# max_abs_scaler, robust_scaler, center


def one_for_zero(scale):
    """scikit-learn's near-constant rule for scales that are not deviations."""
    return np.where(scale < 10 * np.finfo(F64).eps, 1, scale)


def max_abs_scaler_reference(attrs, inputs):
    x = np.asarray(inputs["x"], F64)
    scale = one_for_zero(np.abs(x).max(0))
    scaler = preprocessing.MaxAbsScaler()
    for part in slices(x, attrs.get("chunks")):
        scaler.partial_fit(x[part])
    agree(scale, scaler.scale_, "max_abs_scaler scale")
    agree(x / scale, scaler.transform(x), "max_abs_scaler y")
    return {"scale": scale, "y": x / scale, "inverse": x}


@operation("max_abs_scaler")
def max_abs_scaler(suite):
    def add(name, attrs, inputs, **options):
        add_scaler(suite, name, attrs, inputs, max_abs_scaler_reference(attrs, inputs), **options)

    normal = suite.normal

    for dtype in (F32, F64):
        for shape in ((1, 3), (5, 1), (17, 5), (31, 3)):
            add(f"{list(shape)}", {}, {"x": normal(dtype, shape, -1, 3)})
        add("chunks", {"chunks": [2, 1, 6]}, {"x": normal(dtype, (9, 3), -1, 3)})
        zero = normal(dtype, (5, 3))
        zero[:, 1] = 0
        add("a column of zeros", {"chunks": [3, 2]}, {"x": zero})
        add("columns of very different scale", {},
            {"x": normal(dtype, (7, 3), 0, 1) * np.array([1e-3, 1e3, 1e6], dtype)}, only=["scale", "y"])
        add("diabetes", {}, {"x": dataset("diabetes", dtype, slice(9))})
        add("digits, chunks", {"chunks": [3, 2]}, {"x": dataset("digits", dtype, slice(5), slice(16, 40))})
    add("almost 0", {}, {"x": np.array([[1e-16, 1], [-3e-16, 2]])}, only=["scale"])
    scaler_errors(suite, normal(F32, (6, 3)), {})


def robust_scaler_reference(attrs, inputs):
    x, (low, high) = np.asarray(inputs["x"], F64), attrs.get("quantile_range", [25, 75])
    ordered = np.sort(x, 0)

    def quantile(percent):
        place = percent / 100 * (len(x) - 1)
        below = int(np.floor(place))
        above = min(below + 1, len(x) - 1)
        return ordered[below] + (place - below) * (ordered[above] - ordered[below])

    centre, scale = quantile(50), one_for_zero(quantile(high) - quantile(low))
    scaler = preprocessing.RobustScaler(quantile_range=(low, high)).fit(x)
    agree(centre, scaler.center_, "robust_scaler center")
    agree(scale, scaler.scale_, "robust_scaler scale")
    agree((x - centre) / scale, scaler.transform(x), "robust_scaler y")
    return {"center": centre, "scale": scale, "y": (x - centre) / scale, "inverse": x}


@operation("robust_scaler")
def robust_scaler(suite):
    def add(name, attrs, inputs, **options):
        add_scaler(suite, name, attrs, inputs, robust_scaler_reference(attrs, inputs), **options)

    normal = suite.normal

    for dtype in (F32, F64):
        for shape in ((1, 3), (2, 1), (5, 3), (8, 2), (17, 5), (31, 3)):
            add(f"{list(shape)}", {"quantile_range": [25, 75]}, {"x": normal(dtype, shape, -1, 3)})
        add("default range", {}, {"x": normal(dtype, (7, 3))})
        add("10 to 90", {"quantile_range": [10, 90]}, {"x": normal(dtype, (9, 3))})
        add("0 to 100", {"quantile_range": [0, 100]}, {"x": normal(dtype, (9, 3))})
        add("12.5 to 60", {"quantile_range": [12.5, 60]}, {"x": normal(dtype, (10, 2))})
        outliers = normal(dtype, (9, 2))
        outliers[3], outliers[7] = 50, -90
        add("outliers", {}, {"x": outliers}, only=["center", "scale", "y"])
        constant = normal(dtype, (7, 3))
        constant[:, 0], constant[:5, 1] = 2.5, 1
        add("constant column, mostly constant column", {}, {"x": constant})
        add("a range without extent", {"quantile_range": [50, 50]}, {"x": normal(dtype, (5, 2))})
        add("mean 1e6, deviation 0.5", {}, {"x": normal(dtype, (17, 2), 1e6, 0.5)},
            **({"rtol": 1e-6} if dtype == F32 else {"atol": 4e-9}))
        add("wine, 12 rows", {}, {"x": dataset("wine", dtype, slice(0, 178, 16))})
    x = normal(F32, (6, 3))
    scaler_errors(suite, x, {}, chunks=False)
    suite.error("quantile_range reversed", {"quantile_range": [75, 25]}, {"x": x})
    suite.error("quantile_range below 0", {"quantile_range": [-1, 75]}, {"x": x})
    suite.error("quantile_range above 100", {"quantile_range": [25, 101]}, {"x": x})


@operation("center")
def center(suite):
    def add(name, attrs, inputs, **options):
        x = np.asarray(inputs["x"], F64)
        _, mean, _ = column_moments(x)
        agree(mean, preprocessing.StandardScaler(with_std=False).fit(x).mean_, "center")
        add_scaler(suite, name, attrs, inputs, {"mean": mean, "y": x - mean, "inverse": x}, **options)

    normal = suite.normal

    for dtype in (F32, F64):
        for shape in ((1, 3), (5, 1), (17, 5), (31, 3)):
            add(f"{list(shape)}", {}, {"x": normal(dtype, shape, -1, 3)})
        add("chunks", {"chunks": [2, 1, 6]}, {"x": normal(dtype, (9, 3), -1, 3)})
        for base in (1e3, 1e6):
            # y is right to its own rounding although the data's digits are mostly offset.
            options = {"rtol": 1e-6} if dtype == F32 else {"atol": 4e-15 * base}
            add(f"alternating {base:g}, {base:g} + 1", {"chunks": [20, 1, 43]},
                {"x": alternating(dtype, (64, 1), base)}, **options)
            add(f"mean {base:g}, deviation 0.5", {}, {"x": normal(dtype, (17, 3), base, 0.5)}, **options)
        add("iris, 30 rows", {"chunks": [10, 20]}, {"x": dataset("iris", dtype, slice(0, 150, 5))})
    scaler_errors(suite, normal(F32, (6, 3)), {})


# ---------------------------------------------------------------------------------------------------------------------
# normalizer


def normalizer_forward(t, attrs):
    x, norm = t["x"], attrs.get("norm", "l2")
    # Divided by the largest entry first, squares cannot overflow.
    largest = x.abs().max(1, keepdim=True).values
    size = torch.where(largest > 0, largest, torch.ones_like(largest))
    if norm != "max":
        unit = x / size.detach()
        length = unit.abs().sum(1, keepdim=True) if norm == "l1" else torch.sqrt((unit * unit).sum(1, keepdim=True))
        size = torch.where(length > 0, length, torch.ones_like(length)) * size.detach()
    return {"y": x / size}


@operation("normalizer")
def normalizer(suite):
    def add(name, attrs, inputs, **options):
        outputs = evaluate(normalizer_forward, attrs, inputs, {"dx": "x"} if attrs.get("norm") != "max" else None)
        if np.abs(inputs["x"]).max() < 1e30:
            agree(outputs["y"], preprocessing.normalize(np.asarray(inputs["x"], F64), norm=attrs.get("norm", "l2")),
                  "normalizer")
        suite.add(name, attrs, inputs, outputs, **options)

    normal = suite.normal

    for dtype in (F32, F64):
        for norm in ("l1", "l2", "max"):
            for shape in ((3, 1), (5, 3), (2, 17), (1, 31)):
                add(f"{norm}, {list(shape)}", {"norm": norm},
                    {"x": normal(dtype, shape), "dy": None if norm == "max" else normal(dtype, shape)})
            zero = normal(dtype, (4, 3))
            zero[1], zero[3, 1:] = 0, 0
            add(f"{norm}, a row of zeros", {"norm": norm}, {"x": zero})
            size = 1e25 if dtype == F32 else 1e200
            add(f"{norm}, squares overflow", {"norm": norm}, {"x": normal(dtype, (3, 5)) * dtype(size)})
        add("default norm", {}, {"x": normal(dtype, (4, 3)), "dy": normal(dtype, (4, 3))})
        add("l1, zeros in a row", {"norm": "l1"},
            {"x": np.array([[1, 0, -2], [0, 3, 0]], dtype), "dy": normal(dtype, (2, 3))})
        add("iris, 15 rows", {"norm": "l2"}, {"x": dataset("iris", dtype, slice(0, 150, 10))})

    x = normal(F32, (4, 3))
    scaler_errors(suite, x, {}, chunks=False)
    suite.error("unknown norm", {"norm": "l3"}, {"x": x})
    suite.error("dy of another shape", {"norm": "l2"}, {"x": x, "dy": normal(F32, (4, 2))})
