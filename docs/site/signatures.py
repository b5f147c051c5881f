"""Signatures in the reference as the source has them, and types in them that lead to their pages.

Sphinx would print annotations as Python evaluates them, with NumPy's and pydantic's internal names.
"""

import ast
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes

PACKAGE = Path(__file__).parents[2] / "src/melanoma_pl"
PYDANTIC = {"BaseModel", "Strict", "Open", "DataOptions"}
FIELDS = {"dataclass", "NamedTuple", *PYDANTIC}


def setup(app: Any) -> dict[str, bool]:
    """Connect the functions of this module to a build."""
    app.connect("autodoc-process-signature", signature_in_source)
    app.connect("autodoc-skip-member", skip_named_fields)
    app.connect("autodoc-process-docstring", keep_docstring, priority=400)  # before napoleon
    app.connect("autodoc-process-docstring", restore_docstring, priority=600)  # after it
    app.connect("missing-reference", find_class_by_short_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def signature_in_source(
    app: Any, what: str, name: str, thing: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Return parameters and return type of a function or class as they are written."""
    node = find_definition(name) if what not in ("property", "attribute") else None
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return parameters(node, is_bound=what == "method"), node.returns and written(node.returns)
    if isinstance(node, ast.ClassDef):
        own = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
        if own or (marks(node) & FIELDS):
            return parameters(own[0], is_bound=True) if own else fields(node), None
    return signature, returned


def skip_named_fields(app: Any, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Leave out fields of named tuples, which their class describes, and pydantic's own attributes."""
    is_named = (getattr(thing, "__doc__", None) or "").startswith("Alias for field number")
    return True if is_named or name.startswith("model_") else None


_kept: dict[str, list[str]] = {}


def keep_docstring(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Note the docstring of an attribute: napoleon would read the words before its first colon as a type."""
    if what in ("property", "attribute", "data") and not SECTIONS.intersection(lines):
        _kept[name] = list(lines)


def restore_docstring(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Put back what was noted."""
    if what in ("property", "attribute", "data") and name in _kept:
        lines[:] = _kept.pop(name)


SECTIONS = {"Args:", "Returns:", "Raises:", "Example:"}


def find_class_by_short_name(app: Any, env: Any, node: Any, content: nodes.Node) -> nodes.Node | None:
    """Return a link to a class of this project, each of which has a name of its own; an alias stays plain text."""
    if node.get("refdomain") != "py" or node["reftype"] == "obj":
        return None
    name = node["reftarget"].rpartition(".")[2]
    if name in aliases() or OTHER.match(node["reftarget"]):
        return content
    ending = f".{name}"
    domain = env.get_domain("py")
    found = [name for name, entry in domain.objects.items() if name.endswith(ending) and entry.objtype in KINDS]
    if len(found) != 1 or node["reftarget"].startswith(OTHERS):
        return None
    role = domain.role_for_objtype(domain.objects[found[0]].objtype)
    reference: nodes.Node | None = domain.resolve_xref(env, node["refdoc"], app.builder, role, found[0], node, content)
    return reference


KINDS = ("class", "exception", "data")
OTHERS = ("np.", "torch.", "nn.", "pl.", "plt.")
OTHER = re.compile(  # without a page that a reader would want
    r"numpy\._typing\.|annotated_types\.|hydra\.|pydantic|"
    "(ASGIApp|BaseFileLock|ClientDisconnect|Environment|JobReturn|Markup|OptimizerLRScheduler|RemovableHandle|Timeout)$"
)


@cache
def aliases() -> frozenset[str]:
    """Return the names of types that modules of the package assign, such as `Floats`."""
    modules = [ast.parse(file.read_text(encoding="utf-8")) for file in PACKAGE.rglob("*.py")]
    return frozenset(
        ast.unparse(target)
        for module in modules
        for node in module.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    )


@cache
def read_module(name: str) -> ast.Module | None:
    """Return the syntax tree of a module; None if the name is not one of a module."""
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # below a module that is no package
        return None
    is_source = found is not None and found.origin is not None and found.origin.endswith(".py")
    return ast.parse(Path(found.origin).read_text(encoding="utf-8")) if is_source else None


def find_definition(name: str) -> ast.AST | None:
    """Return the definition of a dotted name, such as `melanoma_pl.specs.Spec.build`."""
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        if (module := read_module(".".join(parts[:count]))) is not None:
            node: ast.AST | None = module
            for part in parts[count:]:
                node = next((each for each in definitions(node) if each.name == part), None)
            return node
    return None


def definitions(node: ast.AST | None) -> Iterator[Any]:
    """Walk through the functions and classes that a module or class defines, conditions included."""
    for each in ast.iter_child_nodes(node) if node is not None else ():
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield each
        elif isinstance(each, ast.If | ast.Try):
            yield from definitions(each)


def written(annotation: ast.AST) -> str:
    """Return an annotation as it is written, without the quotes of one that is evaluated later."""

    class Unquoted(ast.NodeTransformer):
        def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
            name = ast.unparse(node.value)
            if name == "Annotated" and isinstance(node.slice, ast.Tuple):  # the rest is for pydantic
                return self.visit(node.slice.elts[0])
            return node if name == "Literal" else self.generic_visit(node)

        def visit_Constant(self, node: ast.Constant) -> ast.AST:
            return ast.parse(node.value, mode="eval").body if isinstance(node.value, str) else node

    return ast.unparse(Unquoted().visit(ast.parse(ast.unparse(annotation), mode="eval")))


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef, is_bound: bool) -> str:
    """Return the parameters of a function, without `self`."""
    listed = function.args
    decorators = {ast.unparse(each) for each in function.decorator_list}
    everything = [*listed.posonlyargs, *listed.args, *listed.kwonlyargs, listed.vararg, listed.kwarg]
    for each in everything:
        if each is not None and each.annotation is not None:
            each.annotation = ast.parse(written(each.annotation), mode="eval").body
    text = ast.unparse(listed)
    if is_bound and "staticmethod" not in decorators:
        text = text.partition(", ")[2] if listed.args[1:] or listed.vararg or listed.kwonlyargs or listed.kwarg else ""
    return f"({text})"


def marks(node: ast.ClassDef) -> set[str]:
    """Return the names of a class's bases and decorators."""
    return {re.split(r"[(\[]", ast.unparse(each))[0] for each in [*node.bases, *node.decorator_list]}


def fields(node: ast.ClassDef) -> str:
    """Return the parameters of a class that declares its fields."""
    declared = [each for each in node.body if isinstance(each, ast.AnnAssign) and "ClassVar" not in ast.dump(each)]
    texts = [
        f"{ast.unparse(each.target)}: {written(each.annotation)}" + (f" = {value}" if value else "")
        for each in declared
        if not ast.unparse(each.target).startswith("_")
        for value in [default_of(each.value)]
    ]
    return f"({', '.join(['*', *texts] if marks(node) & PYDANTIC and texts else texts)})"


def default_of(value: ast.AST | None) -> str:
    """Return a field's default as it is written; empty if there is none."""
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "Field":  # pydantic's: the default is its argument
        return ast.unparse(value.args[0]) if value.args else ""
    return "" if value is None else ast.unparse(value)
