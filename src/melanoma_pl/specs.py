"""Specs: a class and its options as plain values, `{"_target_": "package.module.Class", **options}`. Light.

The form is Hydra's, so that a YAML file can name any class. But only plain values enter a checkpoint, and only classes
of the expected kind are called.
"""

import importlib
import inspect
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from melanoma_pl.errors import UserError, did_you_mean

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)
TARGET = "_target_"
TRUSTED = ("melanoma_pl", "torch", "torchvision", "timm", "torchmetrics", "lightning")  # packages that may be imported
UNION_BRANCHES = {"int", "float", "constrained", "literal", "str", "dict", "bool"}  # pydantic's names in a location


def check_targets(values: Any, trust: Collection[str], source: str) -> None:
    """Refuse classes of modules that the user did not name, before any of these modules is imported.

    Importing a module runs it, and a checkpoint or a record may come from someone else.

    Args:
        values: Plain values that may hold specs.
        trust: Modules that the user named, beside those of `TRUSTED`; the modules in a package are named with it.
        source: What holds the values, for the error.

    Raises:
        UserError: Naming the first such class.
    """
    named = [trust] if isinstance(trust, str) else trust
    for name in targets_of(values):
        module = name.rpartition(".")[0]
        if not f"{module}.".startswith(tuple(f"{trusted}." for trusted in (*TRUSTED, *named))):
            raise UserError(
                f"{source} names {TARGET}={name}, whose module {module} would be imported",
                f"if you trust it, name it: trust={module} (melanoma-predict: --trust {module})",
            )


def targets_of(values: Any) -> Iterator[str]:
    """Return the name of each class in plain values, however deep."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            if key == TARGET:
                yield str(value)
            else:
                yield from targets_of(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from targets_of(value)


def find_class(name: str, base: type[T]) -> type[T]:
    """Import a class by its dotted name.

    Raises:
        UserError: If it cannot be imported or is not a subclass of `base`.
    """
    module_name, _, class_name = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"_target_={name} cannot be imported ({error})", "is its package installed?") from error
    if not isinstance(found, type) or not issubclass(found, base):
        raise UserError(f"_target_={name} is not a {base.__name__}", f"name a subclass of {base.__name__}")
    return found


def check_spec(spec: Mapping[str, Any], base: type[T], section: str = "<section>") -> type[T]:
    """Return the class that a spec names, if it has options of these names; nothing is built.

    Args:
        spec: The class and its options.
        base: A class that it must be a subclass of.
        section: The section of the configuration that holds the spec, for the error.

    Raises:
        UserError: If the class cannot be found or lacks an option.
    """
    if TARGET not in spec:
        raise UserError(f"{dict(spec)} names no class", f"add _target_=<a subclass of {base.__name__}>")
    found = find_class(str(spec[TARGET]), base)
    parameters = inspect.signature(found).parameters.values()
    named = [each.name for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    unknown = [key for key in spec if key != TARGET and key not in named]
    if unknown and not any(each.kind == each.VAR_KEYWORD for each in parameters):
        raise UserError(
            f"{found.__name__} does not take {', '.join(unknown)}",
            f"to leave out: {' '.join(f'~{section}.{key}' for key in unknown)}; it takes "
            f"{', '.join(named) or 'no options'}",
        )
    return found


def build(spec: Mapping[str, Any], base: type[T], *arguments: Any) -> T:
    """Return the object that a spec describes.

    Args:
        spec: The class and its options.
        base: A class that it must be a subclass of.
        *arguments: Positional arguments, which come before the options.

    Raises:
        UserError: If the class cannot be found or does not take these options.
    """
    found = check_spec(spec, base)
    options = {key: value for key, value in spec.items() if key != TARGET}
    try:
        return found(*arguments, **options)
    except ImportError as error:
        raise UserError(
            f"{found.__name__} needs a package that is not installed ({' '.join(str(error).split())})"
        ) from error
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{found.__name__} does not take {options} ({error})") from error


def name_of(kind: type) -> str:
    """Return the dotted name with which `find_class` finds a class."""
    return f"{kind.__module__}.{kind.__qualname__}"


def validated(kind: type[Model], values: Mapping[str, Any], prefix: str = "") -> Model:
    """Return the settings that plain values describe.

    Args:
        kind: A pydantic model.
        values: Its fields.
        prefix: The start of each key in errors, such as `data.`.

    Raises:
        UserError: If a key is unknown or a value not allowed. The message names the key, the value and what is allowed.
    """
    known = [field.alias or name for name, field in kind.model_fields.items()]
    for name in values:
        if name not in known and kind.model_config.get("extra") == "forbid":
            raise UserError(f"there is no key {prefix}{name}", did_you_mean(name, known))
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UserError(_explain(error, prefix)) from error


def _explain(error: ValidationError, prefix: str) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "value_error" and not first["loc"]:  # raised by a check of several keys
        return str(first["ctx"]["error"])
    parts = [str(part) for part in first["loc"] if str(part).isidentifier() and str(part) not in UNION_BRANCHES]
    if first["type"] == "missing":
        return f"{prefix}{'.'.join(parts)} is missing"
    if first["type"] == "value_error":  # raised by a check of this key
        value = first["input"]
        value = f"[{', '.join(map(str, value))}]" if isinstance(value, list | tuple) else value
        return f"{prefix}{'.'.join(parts)}={value} is not allowed: {first['ctx']['error']}"
    problems = {
        problem["msg"].replace("Input should be ", "")
        for problem in error.errors()
        if problem["loc"][:1] == first["loc"][:1]
    }
    allowed = " or ".join(sorted(problem[0].lower() + problem[1:] for problem in problems))
    return f"{prefix}{'.'.join(parts)}={first['input']} is not allowed: it should be {allowed}"
