"""The one pass that decodes every photo: it finds the broken ones, and gives the pixels to whoever keeps them."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from melanoma_pl.data.decoding import decode_all
from melanoma_pl.data.folder import Photos
from melanoma_pl.preprocessing import Preprocessing


@dataclass(frozen=True)
class Learnt:
    """What the pass learnt.

    Attributes:
        sha256: Of the file of each photo that can be read, in order.
        broken: Path → reason, of the others.
    """

    sha256: tuple[str, ...]
    broken: dict[str, str]

    def readable(self, photos: Photos) -> Photos:
        """Return the photos that can be read."""
        return photos.take([index for index, path in enumerate(photos.paths) if path not in self.broken])


def first_pass(
    photos: Photos, preprocessing: Preprocessing, title: str, keep: Callable[[int, Tensor], object]
) -> Learnt:
    """Decode every photo once, a bounded number at a time.

    Args:
        photos: What to read.
        preprocessing: What makes the pixels.
        title: Of the progress bar.
        keep: Called with each photo that can be read: its place among them, and its pixels, uint8 `(S, S, 3)`.
    """
    sha256: list[str] = []
    broken: dict[str, str] = {}
    for path, decoded in zip(photos.paths, decode_all(photos.files, preprocessing, f"reading {title}"), strict=True):
        if decoded.pixels is None:
            broken[path] = decoded.reason
            continue
        keep(len(sha256), decoded.pixels.permute(1, 2, 0))
        sha256.append(decoded.sha256)
    return Learnt(tuple(sha256), broken)
