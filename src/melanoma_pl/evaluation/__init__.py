"""Every number that is reported: pure functions, arrays in, numbers out.

Probabilities are float64 `(N,)` in [0, 1], targets int `(N,)` with 1 for malignant; what cannot be computed is None.
Names load on first use, so that importing the package costs neither SciPy nor scikit-learn.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from melanoma_pl.evaluation.assessment import calibrate, format_table, intervals_of, rank, subgroup, summarise
    from melanoma_pl.evaluation.calibration import (
        fit_temperature,
        probabilities,
        recalibration_intercept,
        recalibration_slope,
    )
    from melanoma_pl.evaluation.checks import warnings_of
    from melanoma_pl.evaluation.comparison import (
        Difference,
        Discordance,
        mcnemar,
        paired_auroc_by_lesion,
        paired_delong,
        paired_share_difference,
    )
    from melanoma_pl.evaluation.decision import RULES, choose_threshold
    from melanoma_pl.evaluation.intervals import Estimate, corrected_resampled_t, delong, wilson
    from melanoma_pl.evaluation.metrics import (
        Counts,
        auroc,
        average_precision,
        brier,
        count,
        log_loss,
        partial_auroc,
        specificity_at_sensitivity,
    )
    from melanoma_pl.evaluation.outcomes import (
        always_benign,
        decide,
        negative_predictive_value_at,
        positive_predictive_value_at,
    )
    from melanoma_pl.evaluation.reliability import calibrated_ece_range, expected_calibration_error, reliability_bins
    from melanoma_pl.evaluation.resampling import bootstrap, draw_weights, percentile_interval
    from melanoma_pl.evaluation.results import Bin, Calibration, Decisions, Ranking, Subgroup
    from melanoma_pl.evaluation.strata import age_bands, lab, split_by, tone_of, typology_angle

__all__ = [
    "RULES",
    "Bin",
    "Calibration",
    "Counts",
    "Decisions",
    "Difference",
    "Discordance",
    "Estimate",
    "Ranking",
    "Subgroup",
    "age_bands",
    "always_benign",
    "auroc",
    "average_precision",
    "bootstrap",
    "brier",
    "calibrate",
    "calibrated_ece_range",
    "choose_threshold",
    "corrected_resampled_t",
    "count",
    "decide",
    "delong",
    "draw_weights",
    "expected_calibration_error",
    "fit_temperature",
    "format_table",
    "intervals_of",
    "lab",
    "log_loss",
    "mcnemar",
    "negative_predictive_value_at",
    "paired_auroc_by_lesion",
    "paired_delong",
    "paired_share_difference",
    "partial_auroc",
    "percentile_interval",
    "positive_predictive_value_at",
    "probabilities",
    "rank",
    "recalibration_intercept",
    "recalibration_slope",
    "reliability_bins",
    "specificity_at_sensitivity",
    "split_by",
    "subgroup",
    "summarise",
    "tone_of",
    "typology_angle",
    "warnings_of",
    "wilson",
]

_MODULES = {
    "RULES": "operating_point",
    "Bin": "assessment",
    "Calibration": "assessment",
    "Counts": "metrics",
    "Decisions": "assessment",
    "Difference": "comparison",
    "Discordance": "agreement",
    "Estimate": "estimate",
    "Ranking": "assessment",
    "Subgroup": "assessment",
    "age_bands": "subgroups",
    "always_benign": "outcomes",
    "auroc": "metrics",
    "average_precision": "metrics",
    "bootstrap": "resampling",
    "brier": "metrics",
    "calibrate": "assess",
    "calibrated_ece_range": "reliability",
    "choose_threshold": "operating_point",
    "corrected_resampled_t": "intervals",
    "count": "metrics",
    "decide": "outcomes",
    "delong": "intervals",
    "draw_weights": "resampling",
    "expected_calibration_error": "reliability",
    "fit_temperature": "calibration",
    "format_table": "table",
    "intervals_of": "table",
    "lab": "skin_tone",
    "log_loss": "metrics",
    "mcnemar": "agreement",
    "negative_predictive_value_at": "predictive",
    "paired_auroc_by_lesion": "comparison",
    "paired_delong": "comparison",
    "paired_share_difference": "agreement",
    "partial_auroc": "ranking",
    "percentile_interval": "resampling",
    "positive_predictive_value_at": "predictive",
    "probabilities": "calibration",
    "rank": "assess",
    "recalibration_intercept": "recalibration",
    "recalibration_slope": "recalibration",
    "reliability_bins": "reliability",
    "specificity_at_sensitivity": "ranking",
    "split_by": "subgroups",
    "subgroup": "assess",
    "summarise": "table",
    "tone_of": "skin_tone",
    "typology_angle": "skin_tone",
    "warnings_of": "scarcity",
    "wilson": "intervals",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
