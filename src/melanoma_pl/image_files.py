"""Image files of any kind → upright RGB images, and the reasons why a file cannot be read. Light: no PyTorch."""

import io
import re
import stat
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from melanoma_pl.machine_limits import usable_cores
from melanoma_pl.messages import Progress

LARGEST_IMAGE = 150_000_000  # pixels: more than common cameras take, fewer than Pillow itself refuses
LARGEST_FILE = 2_000_000_000  # bytes: more than that many pixels take without compression
THREADS = usable_cores()
AT_ONCE = (
    32  # files of which only the header is read: a thread takes so many, as handing over one takes longer than that
)

ORIENTATION, UPRIGHT = ExifTags.Base.Orientation, 1
WHITE = (255, 255, 255)

DEPTHS = (8, 10, 12, 14, 16)  # bits of a channel that cameras deliver in 16 bits
DEEP = re.compile(r"(RGB|RGBA|RGBX);16([BLN])")  # how 16-bit colours lie in a file; Pillow keeps the upper bytes only
SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}  # reads the lower bytes instead
BITS_PER_SAMPLE = 258  # a TIFF tag
COLOUR_SPACES = {"RGB": "RGB ", "RGBA": "RGB ", "L": "GRAY", "CMYK": "CMYK"}  # Pillow's mode → that of an ICC profile
INVISIBLE = 2  # levels of 255: a profile that changes no colour by more is sRGB, which has many spellings
HEIC = re.compile(rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL)
GET_HEIC = "to read HEIC images: pip install 'melanoma-pl[heic]'"

Source = TypeVar("Source")
T = TypeVar("T")


class BrokenImageError(Exception):
    """A file cannot be read as an image; the message says why."""


def read_file(path: Path) -> bytes:
    """Return the content of an image's file.

    Raises:
        BrokenImageError: If it cannot be read, is empty, larger than `LARGEST_FILE` or not a file: reading a pipe would
            wait for its other end, and some devices have no end.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise BrokenImageError("not a file, but a folder, a pipe or a device")
        if status.st_size > LARGEST_FILE:
            raise BrokenImageError(f"{status.st_size / 1e9:.1f} GB, more than any image takes")
        content = path.read_bytes()
    except OSError as error:
        raise BrokenImageError(error.strerror or str(error)) from error
    if not content:
        raise BrokenImageError("the file is empty")
    return content


@contextmanager
def open_image(source: Path | io.BytesIO) -> Iterator[Image.Image]:
    """Open one image, without decoding its pixels yet.

    Raises:
        BrokenImageError: If the file is missing, not an image or larger than `LARGEST_IMAGE`, or if the code inside the
            context fails.
    """
    try:
        if isinstance(source, Path) and source.exists() and not source.is_file():
            raise BrokenImageError("not a file, but a folder, a pipe or a device")
        with pillow_warnings.ignored(), _open(source) as image:
            if image.width * image.height > LARGEST_IMAGE:
                raise BrokenImageError(f"{image.width}×{image.height} pixels, more than any camera takes")
            yield image
    except BrokenImageError:
        raise
    except UnidentifiedImageError as error:
        raise BrokenImageError("not an image in a format that can be read") from error
    except Image.DecompressionBombError as error:
        raise BrokenImageError("hundreds of millions of pixels, more than any camera takes") from error
    except Exception as error:  # a damaged file can fail anywhere in a decoder, down to a struct.error in its EXIF
        raise BrokenImageError(" ".join(str(error).split()) or type(error).__name__) from error


def _open(source: Path | io.BytesIO) -> Image.Image:
    """Open an image; HEIC, whatever the file's name, through the optional package pi-heif."""
    try:
        return Image.open(source)
    except UnidentifiedImageError:
        with source.open("rb") if isinstance(source, Path) else io.BytesIO(source.getvalue()) as file:
            is_heic = HEIC.match(file.read(12))
        if not is_heic:
            raise
        if not register_heic():
            raise BrokenImageError(f"a HEIC image; {GET_HEIC}") from None
        return Image.open(source)


@cache
def register_heic() -> bool:
    """Teach Pillow to read HEIC, and tell whether that is possible, which it is with the extra `heic`."""
    if find_spec("pi_heif") is None:
        return False
    import pi_heif

    pi_heif.register_heif_opener()
    return True


class PillowWarnings:
    """Pillow's warnings of odd metadata and large sizes, which are ignored while images are read: only pixels count.

    The filters of warnings belong to the whole process. Threads that each change and restore them would restore each
    other's. So the first reader changes them, and the last one restores them.
    """

    def __init__(self) -> None:
        self._lock, self._readers = threading.Lock(), 0
        self._filters = warnings.catch_warnings()

    @contextmanager
    def ignored(self) -> Iterator[None]:
        """Ignore the warnings within the context, which any number of threads may enter and nest."""
        with self._lock:
            self._readers += 1
            if self._readers == 1:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"(PIL|pi_heif)(\.|$)")
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            yield
        finally:
            with self._lock:
                self._readers -= 1
                if self._readers == 0:
                    self._filters.__exit__(None, None, None)


pillow_warnings = PillowWarnings()


def draft(image: Image.Image, side: int) -> None:
    """Decode a large JPEG at 1/2, 1/4 or 1/8 of its size, but at least twice `side`, which is much faster."""
    image.draft("RGB", (2 * side, 2 * side))


def read_all(read: Callable[[Source], T], sources: Sequence[Source], title: str, at_once: int = 1) -> Iterator[T]:
    """Read images on all cores, in the order of `sources`, with `Progress`, a bounded number ahead.

    Args:
        read: Reads one image.
        sources: What to read.
        title: Name of the work in the progress bar.
        at_once: Images that a thread takes at a time, such as `AT_ONCE` where each takes far less than a millisecond.
    """
    groups = [sources[first : first + at_once] for first in range(0, len(sources), at_once)]
    with pillow_warnings.ignored(), Progress(len(sources), title) as progress:
        for answers in in_order(
            lambda group: list(map(read, group)), groups, ThreadPoolExecutor(THREADS), 16 * THREADS
        ):
            progress.advance(len(answers))
            yield from answers


def in_order(
    compute: Callable[[Source], T], sources: Iterable[Source], pool: ThreadPoolExecutor, ahead: int
) -> Iterator[T]:
    """Compute on the threads of a pool, and yield the answers in the order of `sources`; closes the pool at the end.

    The threads go on while an answer is used, until `ahead` answers wait: memory is constant for any number of sources.
    """
    waiting: deque[Future[T]] = deque()
    try:
        for source in sources:
            waiting.append(pool.submit(compute, source))
            if len(waiting) == ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an image upright, in sRGB with three 8-bit channels.

    Transparent parts become white, as a browser shows them. Colours with an embedded ICC profile are converted to sRGB.
    16-bit values are scaled by the bits that they use, see `to_8_bits`.

    Raises:
        ValueError: If the pixels are 32-bit floating point, whose range is unknown.
    """
    depth, lower_bytes = _depth_of(image)
    image.load()  # some formats give the camera's orientation only at their end
    upright, profile = _turned(image), image.info.get("icc_profile")
    if upright.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range; save it with 8 bits per channel")
    if upright.mode.startswith("I"):  # Pillow's own conversion would clip everything above 255 to white
        upright = Image.fromarray(to_8_bits(np.asarray(upright).astype(np.uint32), depth))
    elif lower_bytes is not None:
        upright = _scaled(upright, lower_bytes, depth)
    if profile:
        upright = _in_srgb(upright, profile)
    if upright.mode == "RGB":
        return upright
    if upright.has_transparency_data:
        layers = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layers.size, (*WHITE, 255)), layers).convert("RGB")
    return upright.convert("RGB")


def to_array(
    image: Image.Image, side: int, resample: Image.Resampling = Image.Resampling.BILINEAR
) -> NDArray[np.uint8]:
    """Return the pixels of an image of any mode and size, resized to a square: uint8 `(S, S, 3)` in sRGB."""
    resized = to_rgb(image)
    if resized.size != (side, side):
        resized = resized.resize((side, side), resample)
    return np.array(resized)


def _turned(image: Image.Image) -> Image.Image:
    # Pillow's function would copy an image that is already upright
    return image if image.getexif().get(ORIENTATION, UPRIGHT) == UPRIGHT else ImageOps.exif_transpose(image)


def to_8_bits(values: NDArray[np.uint32], depth: int = 0) -> NDArray[np.uint8]:
    """Scale values of up to 16 bits to 8 bits by the bits that they use.

    These are the bits that the file states, if all values fit into them; otherwise the fewest of 8, 10, 12, 14 and 16
    that hold the largest value. So a camera's 12 bits are as bright as its 8 bits.

    Args:
        values: Values of an image's channels.
        depth: Bits that the file states; 0 if it does not.
    """
    largest = int(values.max())
    stated = (depth,) if depth >= 8 else ()
    bits = next((bits for bits in (*stated, *DEPTHS) if largest < 2**bits), DEPTHS[-1])
    return (values >> (bits - 8)).clip(0, 255).astype(np.uint8)


def _depth_of(image: Image.Image) -> tuple[int, Image.Image | None]:
    """Return the bits that a file with 16-bit values states, and its image of lower bytes, before it is decoded.

    Pillow reads the upper bytes of 16-bit colours. Read in the other byte order, a file gives the lower ones.
    """
    tiles: Any = getattr(image, "tile", None) or ()
    modes = [str(tile.args if isinstance(tile.args, str) else tile.args[0]) for tile in tiles if tile.args]
    is_deep = bool(modes) and all(map(DEEP.fullmatch, modes))
    file: Any = getattr(image, "fp", None)
    if file is None or file.closed or not (is_deep or image.mode.startswith("I")):
        return 0, None
    position = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(position)
    bits = 0
    if image.format == "PNG" and (chunk := content.find(b"sBIT", 0, content.find(b"IDAT"))) > 0:
        bits = max(content[chunk + 4 : chunk + 4 + content[chunk - 1]])  # a byte for each channel
    elif image.format == "TIFF":
        bits = max(image.tag_v2.get(BITS_PER_SAMPLE, (0,)))  # type: ignore[attr-defined]
        bits = bits if bits < DEPTHS[-1] else 0  # 16 is only the size of the cell
    if not is_deep:
        return bits, None
    lower: Any = Image.open(io.BytesIO(content))
    for index, (tile, mode) in enumerate(zip(lower.tile, modes, strict=True)):
        swapped = DEEP.sub(lambda found: f"{found[1]};16{SWAPPED[found[2]]}", mode)
        lower.tile[index] = tile._replace(args=swapped if isinstance(tile.args, str) else (swapped, *tile.args[1:]))
    return bits, lower


def _scaled(upper: Image.Image, lower_bytes: Image.Image, depth: int) -> Image.Image:
    """Return 16-bit colours in 8 bits: their upper bytes if they use all 16, else joined with the lower and scaled."""
    colours = np.asarray(upper)[..., :3]
    if int(colours.max()) >= 2 ** (DEPTHS[-2] - 8):
        return upper
    lower_bytes.load()
    joined = colours.astype(np.uint32) * 256 + np.asarray(_turned(lower_bytes))[..., :3]
    scaled = Image.fromarray(to_8_bits(joined, depth))
    if upper.mode == "RGBA":
        scaled.putalpha(upper.getchannel("A"))
    return scaled


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    if image.mode not in COLOUR_SPACES:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    transform = _to_srgb(profile, image.mode)
    return image if transform is None else transform.apply(image)


@lru_cache(maxsize=32)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform of colours to sRGB; None if the profile is sRGB, damaged, or for another kind of colours."""
    target = ImageCms.createProfile("sRGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space != COLOUR_SPACES[mode]:
            return None
        output = "RGBA" if mode == "RGBA" else "RGB"
        transform = ImageCms.ImageCmsTransform(source, ImageCms.ImageCmsProfile(target), mode, output)
    except (OSError, ValueError, ImageCms.PyCMSError):
        return None
    if mode == "CMYK":
        return transform
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    colours = Image.fromarray(np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)).convert(mode)
    change = np.asarray(transform.apply(colours)).astype(int) - np.asarray(colours.convert(output))
    return transform if np.abs(change).max() > INVISIBLE else None
