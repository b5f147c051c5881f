"""Inventories of other projects' documentation, cut down to the names that this project's docstrings refer to.

A build stays offline: Sphinx reads them as files, and only the reader's click opens the other site.
"""

import zlib
from pathlib import Path

TEXT = Path(__file__).with_name("inventories.txt")
HEADER = (
    "# Sphinx inventory version 2\n# Project: {}\n# Version: \n# The remainder of this file is compressed using zlib.\n"
)


def read_inventories() -> dict[str, tuple[str, list[str]]]:
    """Return each project's address and the lines of its inventory."""
    found: dict[str, tuple[str, list[str]]] = {}
    lines: list[str] = []
    for line in TEXT.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            name, address = line.strip("[]").split(" ")
            lines = []
            found[name] = (address, lines)
        elif line and not line.startswith("#"):
            name, role, page = line.split(" ")
            lines.append(f"{name} py:{role} 1 {page} -")
    return found


def write_inventories(folder: Path) -> None:
    """Write an ``objects.inv`` for each project."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (_, lines) in read_inventories().items():
        body = zlib.compress("".join(f"{line}\n" for line in lines).encode())
        (folder / f"{name}.inv").write_bytes(HEADER.format(name).encode() + body)
