"""A class and its options as plain values (`{"_target_": "package.module.Class", **options}`) → an object.

The same shape as Hydra's, so that a YAML file can name any class, but only plain values enter a checkpoint and only
classes of the expected kind are ever called.
"""

import importlib
from collections.abc import Mapping
from typing import Any, TypeVar

from melanoma_pl.errors import UserError

T = TypeVar("T")
TARGET = "_target_"


def find_class(name: str, base: type[T]) -> type[T]:
    """Import a class by its dotted name.

    Raises:
        UserError: If it cannot be imported or is no subclass of `base`.
    """
    module_name, _, class_name = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"_target_={name} cannot be imported ({error})", "is its package installed?") from error
    if not isinstance(found, type) or not issubclass(found, base):
        raise UserError(f"_target_={name} is no {base.__name__}", f"name a subclass of {base.__name__}")
    return found


def build(spec: Mapping[str, Any], base: type[T], *arguments: Any) -> T:
    """Make the object that a spec describes; `arguments` come before its options.

    Raises:
        UserError: If the class cannot be found or does not take these options.
    """
    options = {key: value for key, value in spec.items() if key != TARGET}
    if TARGET not in spec:
        raise UserError(f"{dict(spec)} names no class", f"add _target_=<a subclass of {base.__name__}>")
    found = find_class(str(spec[TARGET]), base)
    try:
        return found(*arguments, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{found.__name__} does not take {options} ({error})") from error


def name_of(kind: type) -> str:
    """Return the dotted name by which `find_class` finds a class."""
    return f"{kind.__module__}.{kind.__qualname__}"
