"""Build what a disk holds after a power cut, from notes of what a process had flushed.

`benchmarks.endurance` uses it. For Linux.
"""

import hashlib
import json
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

NOTES = "notes.json"


class FlushNotes:
    """Notes of the content that each file and folder had when this process last flushed it.

    Args:
        notes: Folder of the notes and contents.
    """

    def __init__(self, notes: Path) -> None:
        self.notes = notes
        self.files: dict[int, str] = {}  # inode → content
        self.folders: dict[str, dict[str, list[Any]]] = {}  # path → name → inode, content

    def install(self, run: Path) -> None:
        """Take all that a folder holds as flushed, and note each flush and each file that is replaced or deleted."""
        for folder in [*(path for path in run.rglob("*") if path.is_dir()), run] if run.is_dir() else []:
            for each in (*filter(Path.is_file, folder.iterdir()), folder):
                self._note(each)
        self._flush, self._rename = os.fsync, os.rename
        os.fsync = self._flush_and_note
        for name in ("rename", "replace", "unlink", "remove"):
            setattr(os, name, self._noting(getattr(os, name)))
        self._write()

    def _flush_and_note(self, descriptor: int) -> None:
        self._flush(descriptor)
        self._note(Path(f"/proc/self/fd/{descriptor}").resolve())
        self._write()

    def _note(self, path: Path) -> None:
        if path.is_dir():
            inodes = {entry.name: entry.inode() for entry in os.scandir(path) if entry.is_file()}
            self.folders[str(path)] = {name: [inode, self.files.get(inode)] for name, inode in inodes.items()}
            return
        content, inode = path.read_bytes(), path.stat().st_ino
        self.files[inode] = hashlib.sha256(content).hexdigest()
        (self.notes / self.files[inode]).write_bytes(content)
        for entry in self._entries(inode):
            entry[1] = self.files[inode]

    def _entries(self, inode: int) -> Iterator[list[Any]]:
        return (entry for names in self.folders.values() for entry in names.values() if entry[0] == inode)

    def _noting(self, call: Any) -> Any:
        def noting(*paths: Any, **options: Any) -> None:
            gone = None
            with suppress(OSError, TypeError):  # shutil.rmtree gives names relative to a folder
                gone = Path(paths[-1]).stat()
            call(*paths, **options)
            if gone is not None and gone.st_nlink == 1:  # the inode may soon belong to another file
                self.files.pop(gone.st_ino, None)
                for entry in self._entries(gone.st_ino):
                    entry[0] = None
                self._write()

        return noting

    def _write(self) -> None:
        part = self.notes / "part"
        part.write_text(json.dumps({"files": self.files, "folders": self.folders}), encoding="utf-8")
        self._rename(part, self.notes / NOTES)


def cut_power(run: Path, notes: Path, generator: random.Random) -> None:
    """Replace a run's folder by what the disk may hold after a power cut.

    A file that was never flushed is empty. A folder holds the names that it had when it was last flushed, or those that
    it has now, since the system may write names at any time. Folders themselves stay.

    Args:
        run: The folder; the process that wrote it has ended.
        notes: Folder of the notes of that process.
        generator: Chooses between the old and the new names.
    """
    if not (notes / NOTES).is_file() or not run.is_dir():  # the process had not yet begun
        return
    noted, disk = json.loads((notes / NOTES).read_text(encoding="utf-8")), run.with_name("disk")
    for folder in [run, *(path for path in run.rglob("*") if path.is_dir())]:
        inodes = {path.name: path.stat().st_ino for path in folder.iterdir() if path.is_file()}
        present = {name: [inode, noted["files"].get(str(inode))] for name, inode in inodes.items()}
        flushed = noted["folders"].get(str(folder.resolve()), {})
        target = disk / folder.relative_to(run)
        target.mkdir(parents=True)
        for name, (_, content) in generator.choice([present, flushed]).items():
            (target / name).write_bytes((notes / content).read_bytes() if content else b"")
    shutil.rmtree(run)
    disk.rename(run)
