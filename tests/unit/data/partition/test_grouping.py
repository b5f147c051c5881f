"""Groups of a split: what a column of the metadata tells."""

from pathlib import Path

from melanoma_pl.data.image_set import ImageListing
from melanoma_pl.data.partition.grouping import groups_by_column


def test_blanks_around_a_lesion_do_not_count() -> None:
    cells = {"a.png": "L1", "b.png": "L1 ", "c.png": " ", "d.png": "", "e.png": "L 1"}
    listing = ImageListing(Path(), tuple(cells), ("benign",) * 5, ("",) * 5)
    rows = {path: {"lesion": cell} for path, cell in cells.items()}
    groups = groups_by_column(listing, Path("m.csv"), rows, "lesion")
    assert groups == ["L1", "L1", "image:c.png", "image:d.png", "L 1"]
