"""Whitening and decorrelation of data."""

import numpy as np
from sklearn.decomposition import PCA

from .cases import F32, F64, agree, operation
from .scalers import dataset, scaler_errors


def eigen(matrix):
    """Descending eigenvalues; in each eigenvector the entry of largest magnitude is positive."""
    values, vectors = np.linalg.eigh(matrix)
    values, vectors = values[::-1], vectors[:, ::-1]
    largest = vectors[np.abs(vectors).argmax(0), np.arange(len(values))]
    return values, vectors * np.sign(largest)


def assert_unambiguous(values, vectors, what):
    """Eigenvectors are only comparable when eigenvalues are apart and no two entries compete for the largest.

    (They always do in a correlation matrix of two columns.)
    """
    gaps = -np.diff(values) / values[0]
    assert len(values) == 1 or gaps.min() > 1e-5, f"{what}: eigenvalues {values}"
    if len(values) > 1:
        entries = np.sort(np.abs(vectors), 0)
        rivals = np.sign(vectors)[np.abs(vectors).argsort(0)[-2:], np.arange(len(values))]
        close = entries[-1] - entries[-2] < 1e-4
        assert not (close & (rivals[0] != rivals[1])).any(), f"{what}: signs"


def covariance_of(x, ddof):
    mean = x.mean(0)
    mean = mean + (x - mean).mean(0)
    d = x - mean
    return mean, d, d.T @ d / (len(x) - ddof)


def whitening_reference(attrs, inputs):
    x, method = np.asarray(inputs["x"], F64), attrs["method"]
    eps, kept = attrs.get("eps", 0), attrs.get("n_components", x.shape[1])
    mean, d, covariance = covariance_of(x, attrs.get("ddof", 0))
    size = x.shape[1]

    scale = np.sqrt(np.diag(covariance)) if method.endswith("-cor") else np.ones(size)
    decomposed = covariance / np.outer(scale, scale)
    values, vectors = eigen(decomposed)
    values = values + eps
    assert values.min() > 1e-9 * values.max(), f"singular: {values}"
    if method == "cholesky":
        # L lower triangular with L Lᵀ the inverse covariance.
        forth = np.linalg.cholesky(np.linalg.inv(covariance + eps * np.eye(size)))
        back = np.linalg.inv(forth)
        agree(forth @ forth.T @ (covariance + eps * np.eye(size)), np.eye(size), "cholesky", atol=1e-6)
    else:
        if method.startswith("pca"):
            assert_unambiguous(values, vectors, method)
        root = np.sqrt(values)
        forth, back = (vectors / root)[:, :kept], (vectors * root)[:, :kept].T
        if method.startswith("zca"):
            forth, back = forth @ vectors.T, vectors @ back
        forth, back = forth / scale[:, None], back * scale
    y = d @ forth

    if eps == 0 and kept == size:
        agree(y.T @ y / (len(x) - attrs.get("ddof", 0)), np.eye(size), method, atol=1e-6)
        agree(y @ back, d, f"{method} inverse", atol=1e-6)
    if method == "pca" and attrs.get("ddof") == 1 and eps == 0:
        theirs = PCA(kept, whiten=True, svd_solver="full").fit_transform(x)
        agree(np.abs(y), np.abs(theirs), "sklearn.decomposition.PCA", atol=1e-6)

    # A row of y adds up numbers this large, and cancels some of them.
    largest = max((np.abs(d) @ np.abs(forth)).max(), 1)
    # Rounding of the covariance moves an eigenvalue by 2**-53 of the largest, an eigenvector by that over the gap.
    narrow = values.min() / values.max()
    if method.startswith("pca") and size > 1:
        narrow = min(narrow, (-np.diff(values)).min() / values.max())
    tolerance = {"y": (largest, narrow), "inverse": (np.abs(y) @ np.abs(back), narrow)}
    tolerance["inverse"] = (max(tolerance["inverse"][0].max(), np.abs(x).max()), narrow)
    return {"mean": mean, "covariance": covariance, "y": y, "inverse": y @ back + mean}, tolerance


def tolerance_of(dtype, size, narrow):
    unit = 1e-6 if dtype == F32 else 1e-14
    return float(f"{max(2e-6 if dtype == F32 else 2e-12, unit * size, 100 * 2.0 ** -53 * size / narrow):.2g}")


@operation("whitening")
def whitening(suite):
    def add(name, attrs, inputs):
        outputs, tolerance = whitening_reference(attrs, inputs)
        dtype = inputs["x"].dtype
        parts = [["y"], ["inverse"], ["mean", "covariance"]]
        bounds = {key: tolerance_of(dtype, *value) for key, value in tolerance.items()}
        # An element of the covariance cancels to the precision of the largest one.
        unit = 1e-7 if dtype == F32 else 1e-13
        bounds["mean"] = unit * max(20, np.abs(outputs["covariance"]).max())
        if bounds["y"] == bounds["inverse"]:
            parts = [["mean", "covariance", "y", "inverse"]]
        elif np.abs(inputs["x"]).max() < 100:
            parts = [["mean", "covariance", "y"], ["inverse"]]
        for part in parts:
            suffix = "" if "y" in part else f", {part[0]}"
            key = "y" if "y" in part else part[0]
            suite.add(name + suffix, attrs, inputs, {key: outputs[key] for key in part},
                      atol=float(f"{bounds[key]:.2g}"))

    def correlated(dtype, shape, mean=0.5):
        mix = suite.rng.normal(size=(shape[1], shape[1])) * 0.4 + np.diag(np.linspace(1, 2, shape[1]))
        return np.round(suite.rng.normal(size=shape) @ mix + mean, 3).astype(dtype)

    methods = ("pca", "zca", "zca-cor", "pca-cor", "cholesky")
    for dtype in (F32, F64):
        for method in methods:
            add(f"{method}, [17, 3]", {"method": method, "eps": 0, "ddof": 0}, {"x": correlated(dtype, (17, 3))})
            add(f"{method}, [15, 4], ddof 1, chunks", {"method": method, "ddof": 1, "chunks": [6, 1, 8]},
                {"x": correlated(dtype, (15, 4))})
            add(f"{method}, [5, 1]", {"method": method}, {"x": correlated(dtype, (5, 1))})
            add(f"{method}, eps 0.1", {"method": method, "eps": 0.1}, {"x": correlated(dtype, (7, 3))})
            add(f"{method}, mean 10000, deviation near 1", {"method": method}, {"x": correlated(dtype, (11, 3), 1e4)})
        for method in ("pca", "pca-cor"):
            add(f"{method}, 2 of 4 components", {"method": method, "n_components": 2, "ddof": 1},
                {"x": correlated(dtype, (17, 4))})
            add(f"{method}, 1 of 3 components, eps", {"method": method, "n_components": 1, "eps": 1e-3},
                {"x": correlated(dtype, (11, 3))})
        constant = correlated(dtype, (9, 3))
        constant[:, 1] = 0.5
        add("zca, a constant column, eps 0.01", {"method": "zca", "eps": 0.01}, {"x": constant})
        add("zca, fewer rows than columns, eps 0.1", {"method": "zca", "eps": 0.1}, {"x": correlated(dtype, (3, 5))})
        iris = dataset("iris", dtype, slice(0, 150, 9))
        for method in methods:
            add(f"iris, {method}", {"method": method}, {"x": iris})
        add("wine, zca-cor", {"method": "zca-cor", "ddof": 1, "chunks": [12, 3, 5]},
            {"x": dataset("wine", dtype, slice(0, 178, 9), slice(5))})
        add("wine, pca, eps", {"method": "pca", "eps": 0.01}, {"x": dataset("wine", dtype, slice(0, 178, 9), slice(5))})
        add("breast cancer, pca-cor", {"method": "pca-cor", "eps": 1e-5},
            {"x": dataset("breast_cancer", dtype, slice(20), slice(5))})
        add("digits, zca, eps", {"method": "zca", "eps": 1}, {"x": dataset("digits", dtype, slice(12), slice(18, 24))})
        add("diabetes, cholesky", {"method": "cholesky", "eps": 1e-4},
            {"x": dataset("diabetes", dtype, slice(15), slice(4))})

    x = correlated(F32, (6, 3))
    scaler_errors(suite, x, {"method": "pca"})
    suite.error("n_components 0", {"method": "pca", "n_components": 0}, {"x": x})
    suite.error("n_components above the number of columns", {"method": "pca", "n_components": 4}, {"x": x})
    suite.error("n_components is not whole", {"method": "pca-cor", "n_components": 1.5}, {"x": x})
    suite.error("unknown method", {"method": "svd"}, {"x": x})
    suite.error("negative eps", {"method": "zca", "eps": -1}, {"x": x})


@operation("decorrelation")
def decorrelation(suite):
    def add(name, attrs, inputs):
        x, dtype = np.asarray(inputs["x"], F64), inputs["x"].dtype
        _, d, covariance = covariance_of(x, attrs.get("ddof", 0))
        values, vectors = eigen(covariance)
        assert_unambiguous(values, vectors, name)
        y = d @ vectors
        agree(y.T @ y / (len(x) - attrs.get("ddof", 0)), np.diag(values), "decorrelation", atol=1e-7 * values[0])
        narrow = (-np.diff(values)).min() / values[0] if len(values) > 1 else 1
        size = max((np.abs(d) @ np.abs(vectors)).max(), 1)
        outputs = {"y": y, "eigenvalues": values}
        suite.add(name, attrs, inputs, outputs, atol=tolerance_of(dtype, size, narrow))

    def correlated(dtype, shape, mean=0.5):
        mix = suite.rng.normal(size=(shape[1], shape[1])) * 0.4 + np.diag(np.linspace(1, 2, shape[1]))
        return np.round(suite.rng.normal(size=shape) @ mix + mean, 3).astype(dtype)

    for dtype in (F32, F64):
        for shape in ((7, 1), (5, 2), (17, 3), (31, 5), (127, 2)):
            add(f"{list(shape)}", {"ddof": 0}, {"x": correlated(dtype, shape)})
        add("ddof 1", {"ddof": 1}, {"x": correlated(dtype, (9, 3))})
        add("default ddof, mean 10000", {}, {"x": correlated(dtype, (17, 3), 1e4)})
        constant = correlated(dtype, (9, 3))
        constant[:, 1] = 2
        add("a constant column", {}, {"x": constant})
        add("iris, 25 rows", {}, {"x": dataset("iris", dtype, slice(0, 150, 6))})
        add("wine, 18 rows", {}, {"x": dataset("wine", dtype, slice(0, 178, 10), slice(5))})
        add("diabetes, 15 rows, ddof 1", {"ddof": 1}, {"x": dataset("diabetes", dtype, slice(15), slice(4))})
    scaler_errors(suite, correlated(F32, (6, 3)), {}, chunks=False)
