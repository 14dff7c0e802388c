"""Reference implementations, one module a theme. OPERATIONS maps the name of an operation to its list of cases."""

from .cases import OPERATIONS
from . import (  # noqa: F401  (each registers its operations)
    batch, batch_variants, layer, mixtures, local, recurrent, activations, weights, scalers, whitening, images,
    schedules)

__all__ = ["OPERATIONS"]
