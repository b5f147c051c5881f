"""Computation of every reported number: pure functions that take arrays and return numbers.

Probabilities are float64 `(N,)` in [0, 1]; targets are integers `(N,)`, 1 for malignant. A number that cannot be
computed is None. Names are imported on first use, so importing the package loads neither SciPy nor scikit-learn.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
