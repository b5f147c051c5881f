"""A photo of any mode → upright RGB. Light: also what does not train reads photos."""

import numpy as np
from PIL import ExifTags, Image, ImageOps

ORIENTATION, UPRIGHT = ExifTags.Base.Orientation, 1
WHITE = (255, 255, 255)


def to_rgb(photo: Image.Image) -> Image.Image:
    """Turn a photo as the camera meant it and give it three 8-bit channels.

    Transparent parts become white, as a browser shows them; of 16-bit grey the upper eight bits are kept.

    Raises:
        ValueError: If the pixels have no known range (32-bit floating point).
    """
    photo.load()  # some formats tell only at their end how the camera was held
    # Pillow's own function copies a photo that is upright
    upright = photo if photo.getexif().get(ORIENTATION, UPRIGHT) == UPRIGHT else ImageOps.exif_transpose(photo)
    if upright.mode == "RGB":
        return upright
    if upright.mode == "F":
        raise ValueError("its pixels are floating-point numbers of no known range; save it with 8 bits a channel")
    if upright.mode.startswith("I"):  # Pillow's own conversion would clip everything above 255 to white
        grey = (np.asarray(upright).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if upright.has_transparency_data:
        layers = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layers.size, (*WHITE, 255)), layers).convert("RGB")
    return upright.convert("RGB")
