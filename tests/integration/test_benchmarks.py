"""Every benchmark can be imported: what it takes from the package and from other benchmarks exists."""

from importlib import import_module
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
FILES = sorted((REPOSITORY / "benchmarks").rglob("*.py"))


@pytest.mark.parametrize("file", [file for file in FILES if not file.stem.startswith("__")], ids=lambda file: file.stem)
def test_a_benchmark_can_be_imported(file: Path) -> None:
    name = ".".join(file.relative_to(REPOSITORY).with_suffix("").parts)
    assert import_module(name).__doc__
