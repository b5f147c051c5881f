"""Which photos belong together when a model's figures are looked at group by group."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

UNKNOWN = "unknown"
BANDS = ((30, "under 30"), (45, "30–44"), (60, "45–59"), (75, "60–74"), (math.inf, "75 and over"))


def age_bands(ages: ArrayLike) -> list[str]:
    """Return the band of each age.

    Args:
        ages: float `(N,)`, in years; NaN where it is not known.

    Returns:
        One of "under 30", "30–44", "45–59", "60–74", "75 and over", and "unknown", also for what can be no age.
    """
    return [_band(age) for age in np.asarray(ages, dtype=np.float64).tolist()]


def split_by(values: Sequence[str | None]) -> dict[str, NDArray[np.bool_]]:
    """Return which photos have each value of a column.

    Args:
        values: of the `N` photos; blank or None where it is not known.

    Returns:
        Value → bool `(N,)`; the most frequent first, equally frequent ones by name, "unknown" last.
    """
    names = np.array([(value or "").strip() or UNKNOWN for value in values], dtype=np.str_)
    frequent = Counter(names.tolist()).most_common()
    frequent.sort(key=lambda item: (item[0] == UNKNOWN, -item[1], item[0]))
    return {name: names == name for name, _ in frequent}


def _band(age: float) -> str:
    if not 0 <= age < math.inf:
        return UNKNOWN
    return next(name for end, name in BANDS if age < end)
