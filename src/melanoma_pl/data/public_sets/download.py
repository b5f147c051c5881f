"""What a set's own download says of each image, before anything is chosen, and the columns that every set ends in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from melanoma_pl.data.partition.target_folder import place

COLUMNS = (
    "image",
    "label",
    "split",
    "diagnosis",
    "written",  # the finest diagnosis, as the set writes it
    "confirmed_by",  # how the diagnosis is known: histopathology, follow-up, …
    "lesion",
    "patient",
    "age",  # years
    "sex",  # male, female or empty
    "site",
    "skin_type",  # Fitzpatrick, 1 to 6
    "source",
    "licence",
    "group",  # images that must stay together: the patient's, else the lesion's
    "original",
)
LEFT_OUT_COLUMNS = ("original", "diagnosis", "reason")


@dataclass(frozen=True)
class About:
    """What a summary says of a set.

    Attributes:
        citation: The work to cite.
        warnings: Known faults of the set.
    """

    citation: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageFacts:
    """What the set's own table says of one image; empty where it says nothing.

    Attributes:
        written: Its diagnosis as written, the finest name first, then ever coarser ones.
        confirmed_by: How the diagnosis is known.
        unfit: Why it is no image to learn from, whatever its diagnosis.
        skin_type: Fitzpatrick's, `1` to `6`.
        age: Years.
    """

    written: tuple[str, ...] = ()
    confirmed_by: str = ""
    unfit: str = ""
    lesion: str = ""
    patient: str = ""
    age: str = ""
    sex: str = ""
    site: str = ""
    skin_type: str = ""
    source: str = ""
    licence: str = ""


@dataclass(frozen=True)
class SourceImage:
    """One image of a download.

    Attributes:
        original: Its path in the download, with `/`.
        where: Where it is described, as an error names it: file and line.
        facts: What is said of it.
        label: Its class, where the set has classes instead of diagnoses.
        split: `train` or `test`, where the set has splits of its own.
        name: The name it gets; its own where empty.
    """

    original: str
    where: str
    facts: ImageFacts
    label: str = ""
    split: str = ""
    name: str = ""


@dataclass(frozen=True)
class LeftOut:
    """An image that is left out: which, its diagnosis as written, and why."""

    original: str
    diagnosis: str
    reason: str


Save = Callable[[SourceImage, Path, bool], str]  # image, file to make, copy it → what was done: linked, copied, written


@dataclass(frozen=True)
class Download:
    """A download that has been read; no image of it has been opened.

    Attributes:
        about: What a summary says of the set.
        entries: Its images.
        save: Makes the file of one of them.
        folder: What `original` is relative to, where the images are files.
        left_out: Rows without an image, and images without a row.
        notes: What else the user should know of this download.
    """

    about: About
    entries: tuple[SourceImage, ...]
    save: Save
    folder: Path | None = None
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()


def saver(folder: Path) -> Save:
    """Return what links or copies images of a folder."""

    def save(entry: SourceImage, file: Path, copy: bool) -> str:
        return "linked" if place(folder / entry.original, file, copy) else "copied"

    return save
