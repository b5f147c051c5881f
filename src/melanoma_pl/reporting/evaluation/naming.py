"""What evaluation calls malignant and benign, whatever the photos' folders are called, by the classes' own names."""

import re
from dataclasses import fields, is_dataclass, replace
from typing import Any

from melanoma_pl.evaluation.assessment import Decisions
from melanoma_pl.evaluation.estimate import Estimate
from melanoma_pl.reporting.evaluation.content import Content, Curves

OWN_NAMES = ("benign", "malignant")
NAMED = re.compile(rf"\b({'|'.join(OWN_NAMES)})\b")


def with_class_names(content: Content) -> Content:
    """Return the content whose reasons, and the decision that needs no network, speak of the classes by their names."""
    if content.class_names == OWN_NAMES:
        return content
    named: Content = _named(content, dict(zip(OWN_NAMES, content.class_names, strict=True)))
    return named


def _named(part: Any, names: dict[str, str]) -> Any:
    if isinstance(part, Estimate):
        return replace(part, reason=_spoken(part.reason, names))
    if isinstance(part, tuple):
        return tuple(_named(own, names) for own in part)
    if isinstance(part, dict):
        return {key: _named(own, names) for key, own in part.items()}
    if not is_dataclass(part) or isinstance(part, (type, Curves)):
        return part
    changed = {own.name: _named(getattr(part, own.name), names) for own in fields(part)}
    if isinstance(part, Decisions) and part.threshold is None:
        changed["name"] = _spoken(part.name, names)
    return replace(part, **changed)


def _spoken(told: str, names: dict[str, str]) -> str:
    return NAMED.sub(lambda found: names[found[0]], told)
