"""The package keeps its shape: who imports whom, how large modules and folders are, and what they are called."""

import ast
import io
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import melanoma_pl

PACKAGE = "melanoma_pl"
SOURCE = Path(melanoma_pl.__file__).parent
TESTS = Path(__file__).parent
LAYERS = (  # from the bottom up: a module imports from its own layer and from those below it
    {"errors", "messages", "files", "specs", "image_files", "machine_limits", "preprocessing", "evaluation"},
    {"data", "models"},
    {"inference", "config"},
    {"training", "report", "runs"},
    {"foundations", "export"},
    {"train", "evaluate", "predict", "demo", "app"},
)
COMMANDS = {*LAYERS[-1], "data.__main__", "data.command_line", "runs.__main__", "export.__main__"}
STRANGERS = ({"data", "models"},)  # rooms of one layer that do not import each other
WITHOUT_A_MODULE = {  # tests of a whole package
    "test_architecture",
    "evaluation/test_evaluation_package",
    "foundations/test_foundations_notebook_plots",
    "foundations/test_foundations_plots",
    "report/figures/test_figures",
}
MOST_AT_THE_ROOT, MOST_IN_A_FOLDER, MOST_IN_ALL, MOST_CODE_LINES = 11, 16, 165, 20_300
OPENINGS = ("What", "How", "Whether", "Of", "Where", "That")

FILES = sorted(SOURCE.rglob("*.py"))
MODULES = [file for file in FILES if file.name != "__init__.py"]


def name_of(file: Path) -> str:
    """Return a file's dotted name within the package, such as `data.order`; that of a package is its folder's."""
    parts = file.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(file): file for file in FILES}


@cache
def parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def imported(file: Path) -> frozenset[str]:
    """Return the absolute dotted name of everything that a file imports, at any depth, type checking included."""
    package = [PACKAGE, *file.parent.relative_to(SOURCE).parts]
    found: set[str] = set()
    for node in ast.walk(parse(file)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = [*above, *([node.module] if node.module else [])]
            found.update(".".join([*base, alias.name]) for alias in node.names)
    return frozenset(found)


def home(name: str) -> str | None:
    """Return the module of this package that defines an imported name; a package may pass the name on."""
    if room(name) != PACKAGE:
        return None
    inner = name.removeprefix(PACKAGE).removeprefix(".")
    if inner in NAMES:
        return inner
    package, _, attribute = inner.rpartition(".")
    if package not in NAMES:
        return home(f"{PACKAGE}.{package}")
    files = [NAMES[package], NAMES[package].with_suffix(".pyi")]  # the stub lists the names for lazy_loader
    passed_on = {
        other for file in files if file.name.startswith("__init__.") and file.exists() for other in imported(file)
    }
    passed_on = {other for other in passed_on if other.endswith(f".{attribute}")} - {name}
    return home(passed_on.pop()) if passed_on else package


def room(module: str) -> str:
    return module.partition(".")[0]


IMPORTS = sorted(
    (importing, target)
    for importing, file in NAMES.items()
    for target in {home(name) for name in imported(file)} - {importing, None, ""}
    if target is not None
)
"""(importing module, imported module); the package itself, which everybody asks for the version, is left out."""


def layer(module: str) -> int:
    if module in COMMANDS or not module:  # the package itself passes on names of all layers
        return len(LAYERS) - 1
    return next(level for level, rooms in enumerate(LAYERS) if room(module) in rooms)


def code_lines(file: Path) -> int:
    """Count the lines that hold code: neither blank, nor comments, nor docstrings."""
    text = file.read_text(encoding="utf-8")
    ignored = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in ignored:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in docstrings(file):
        lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def docstrings(file: Path) -> Iterator[ast.Constant]:
    for node in ast.walk(parse(file)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            match node.body[0]:
                case ast.Expr(value=ast.Constant(value=str()) as docstring):
                    yield docstring


def repeated(where: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: places for name, places in where.items() if len(places) > 1}


def test_every_module_has_a_layer() -> None:
    missing = {room(module) for module in NAMES if module} - set().union(*LAYERS)
    assert not missing, f"add to LAYERS: {missing}"


def test_nothing_imports_from_a_layer_above() -> None:
    upward = [f"{a} imports {b}" for a, b in IMPORTS if layer(b) > layer(a)]
    assert not upward, upward


def test_modules_do_not_import_in_a_circle() -> None:
    assert_no_circle(IMPORTS)


def test_rooms_do_not_import_in_a_circle() -> None:
    inner = [(room(a), room(b)) for a, b in IMPORTS if not {"", *COMMANDS} & {a, b}]
    assert_no_circle([(a, b) for a, b in inner if a != b])


def assert_no_circle(edges: list[tuple[str, str]]) -> None:
    graph = defaultdict(set)
    for importing, target in edges:
        graph[importing].add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" ← ".join(error.args[1]))


def test_data_and_models_do_not_know_each_other() -> None:
    known = [f"{a} imports {b}" for a, b in IMPORTS for pair in STRANGERS if {room(a), room(b)} == pair]
    assert not known, known


def test_only_settings_and_commands_know_hydra() -> None:
    known = [
        f"{module} imports {name}"
        for module, file in NAMES.items()
        if room(module) != "config" and module not in COMMANDS
        for name in imported(file)
        if room(name) in {"hydra", "omegaconf"}
    ]
    assert not known, known


def test_evaluation_knows_arrays_only() -> None:
    known = [
        f"{module} imports {name}"
        for module, file in NAMES.items()
        if room(module) == "evaluation"
        for name in imported(file)
        if room(name) in {"lightning", "torch", "torchmetrics"} or home(name) == "files"
    ]
    assert not known, known


def test_no_two_modules_have_one_name() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for file in MODULES:
        found[file.stem].append(name_of(file))
    found.pop("__main__")
    assert not repeated(found), repeated(found)


def test_no_two_classes_have_one_name() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for file in FILES:
        for node in ast.walk(parse(file)):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(name_of(file))
    assert not repeated(found), repeated(found)


def test_folders_hold_few_modules() -> None:
    counts = Counter(file.parent for file in MODULES)
    at_the_root = sorted(file.stem for file in MODULES if file.parent == SOURCE)
    assert len(at_the_root) <= MOST_AT_THE_ROOT, at_the_root
    full = {str(folder.relative_to(SOURCE)): count for folder, count in counts.items() if count > MOST_IN_A_FOLDER}
    assert not full, full
    total = len(MODULES)
    assert total <= MOST_IN_ALL


def test_the_package_stays_small() -> None:
    lines = {name_of(file): code_lines(file) for file in FILES}
    total, longest = sum(lines.values()), sorted(lines, key=lines.__getitem__)[-3:]
    assert total <= MOST_CODE_LINES, f"longest: {longest}"


def test_docstrings_say_what_a_thing_is() -> None:
    riddles = [
        f"{name_of(file)}:{node.lineno}: {str(node.value).splitlines()[0]}"
        for file in FILES
        for node in docstrings(file)
        if str(node.value).split(maxsplit=1)[0].rstrip(",:") in OPENINGS
    ]
    assert not riddles, "\n".join(riddles)


def test_unit_tests_mirror_the_package() -> None:
    astray = []
    for file in TESTS.rglob("test_*.py"):
        folder, name = file.relative_to(TESTS).parent, file.stem.removeprefix("test_")
        modules = {path.stem.strip("_") for path in (SOURCE / folder).glob("*.py")}
        tested = any(name == module or name.startswith(f"{module}_") for module in modules)
        if not tested and (folder / file.stem).as_posix() not in WITHOUT_A_MODULE:
            astray.append(str(file.relative_to(TESTS)))
    assert not astray, f"no module for {astray}"


def test_no_two_test_files_have_one_name() -> None:
    counts = Counter(file.name for file in TESTS.parent.rglob("test_*.py"))
    repeated_names = [name for name, count in counts.items() if count > 1]
    assert not repeated_names, repeated_names
