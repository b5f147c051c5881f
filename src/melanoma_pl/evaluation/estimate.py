"""A number with its interval, or the reason why there is none."""

from dataclasses import dataclass

from melanoma_pl.evaluation.intervals import Interval

NOT_COMPUTABLE = "not computable"
ALWAYS_SO = "always so"
"""The reason why there is no interval where the value follows from a definition, whatever the photos."""


@dataclass(frozen=True)
class Estimate:
    """A number that photos gave.

    Attributes:
        value: The number; None where it cannot be computed.
        interval: Its 95 % confidence interval; None where it cannot be computed.
        reason: Why there is no value, or, with a value, no interval; empty where all is there.
    """

    value: float | None
    interval: Interval | None = None
    reason: str = ""

    def __str__(self) -> str:
        """Return "0.915 [0.884–0.938]", or "not computable: no malignant photos"."""
        if self.value is None:
            return f"{NOT_COMPUTABLE}: {self.reason}" if self.reason else NOT_COMPUTABLE
        if self.interval is None:
            return decimal(self.value)
        return f"{decimal(self.value)} {brackets(self.interval)}"


def decimal(value: float) -> str:
    """Return "0.915" or "−0.008", with a minus: a hyphen beside a dash reads badly."""
    return f"{value:z.3f}".replace("-", "−")


def brackets(interval: Interval) -> str:
    """Return "[0.884–0.938]"."""
    return f"[{decimal(interval[0])}–{decimal(interval[1])}]"
