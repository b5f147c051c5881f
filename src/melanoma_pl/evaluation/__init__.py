"""Every number that is reported: pure functions, arrays in, numbers out.

Probabilities are float64 `(N,)` in [0, 1], targets int `(N,)` with 1 for malignant; what cannot be computed is None.
Names load on first use, so that importing the package costs neither SciPy nor scikit-learn.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from melanoma_pl.evaluation.calibration import fit_temperature, probabilities
    from melanoma_pl.evaluation.intervals import corrected_resampled_t, delong, wilson
    from melanoma_pl.evaluation.metrics import Counts, auroc, average_precision, brier, count, log_loss
    from melanoma_pl.evaluation.operating_point import RULES, choose_threshold
    from melanoma_pl.evaluation.table import format_table, intervals_of, summarise

__all__ = [
    "RULES",
    "Counts",
    "auroc",
    "average_precision",
    "brier",
    "choose_threshold",
    "corrected_resampled_t",
    "count",
    "delong",
    "fit_temperature",
    "format_table",
    "intervals_of",
    "log_loss",
    "probabilities",
    "summarise",
    "wilson",
]

_MODULES = {
    "RULES": "operating_point",
    "Counts": "metrics",
    "auroc": "metrics",
    "average_precision": "metrics",
    "brier": "metrics",
    "choose_threshold": "operating_point",
    "corrected_resampled_t": "intervals",
    "count": "metrics",
    "delong": "intervals",
    "fit_temperature": "calibration",
    "format_table": "table",
    "intervals_of": "table",
    "log_loss": "metrics",
    "probabilities": "calibration",
    "summarise": "table",
    "wilson": "intervals",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
