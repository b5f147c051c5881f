"""Predict images: python predict.py IMAGE_OR_FOLDER … [--json]. Needs numpy, Pillow and onnxruntime only."""

import argparse
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageCms, ImageOps


def read(path: Path, image_size: int, interpolation: str, colour_constancy: str, **_: str) -> Any:
    """Return an image as the network takes it, uint8 (1, 3, S, S): upright, in sRGB, resized to a square."""
    with Image.open(path) as image:
        if image.width * image.height > 150_000_000 or image.mode[0] in "IF" or ";16" in str(getattr(image, "tile", 0)):
            raise ValueError("more pixels than any camera takes, or more than 8 bits per channel")
        image.draft("RGB", (2 * image_size, 2 * image_size))  # of a large JPEG, only a smaller copy is decoded
        upright = in_srgb(ImageOps.exif_transpose(image), image.info.get("icc_profile", b""))
    if upright.mode != "RGB" and upright.has_transparency_data:
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright.convert("RGBA"))
    pixels = np.array(upright.convert("RGB").resize((image_size, image_size), Image.Resampling[interpolation.upper()]))
    light = np.mean((pixels / 255.0) ** 6, axis=(0, 1)) ** (1 / 6)
    if colour_constancy == "shades_of_gray" and light.min() > 0:
        pixels = np.rint(pixels * (np.linalg.norm(light) / (np.sqrt(3) * light))).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


def in_srgb(image: Any, profile: bytes) -> Any:
    """Return an image with its colours in sRGB; as it is if its profile is sRGB, missing or damaged."""
    if image.mode not in ("RGB", "RGBA", "L", "CMYK"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    output = "RGBA" if image.mode == "RGBA" else "RGB"
    try:
        transform = ImageCms.buildTransform(io.BytesIO(profile), ImageCms.createProfile("sRGB"), image.mode, output)
    except ImageCms.PyCMSError:
        return image
    levels = np.indices((18, 18, 18), np.uint8).reshape(3, 1, -1).transpose(1, 2, 0) * 15
    grid = Image.fromarray(levels).convert(image.mode)
    change = np.asarray(transform.apply(grid)).astype(int) - np.asarray(grid.convert(output))
    return transform.apply(image) if image.mode == "CMYK" or np.abs(change).max() > 2 else image


def main() -> int:
    """Print the prediction of each image, and return 1 if one could not be read."""
    parsing = argparse.ArgumentParser(description=__doc__)
    parsing.add_argument("images", nargs="+", type=Path)
    parsing.add_argument("--json", action="store_true", help="print one JSON object a line")
    parsing.add_argument("--model", default=Path(__file__).with_name("model.onnx"), help="default: %(default)s")
    chosen, endings = parsing.parse_args(), Image.registered_extensions()
    found = [sorted(path.rglob("*.*")) if path.is_dir() else [path] for path in chosen.images]
    session = onnxruntime.InferenceSession(chosen.model, providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    inputs, names, threshold = (json.loads(facts[key]) for key in ("inputs", "class_names", "threshold"))
    print(facts["notice"], file=sys.stderr)
    rows: list[dict[str, Any]] = []
    for file in (each for paths in found for each in paths if each in chosen.images or each.suffix.lower() in endings):
        rows.append({"path": file.as_posix(), "probability": None, "decision": None, "threshold": threshold})
        try:
            values = session.run(None, {each["name"]: read(file, **each) for each in inputs})
            _, probability, *distance = (float(value[0]) for value in values)
            rows[-1] |= {"probability": probability, "decision": names[probability >= threshold]}
            rows[-1]["out_of_distribution"] = distance[0] > float(facts["ood_threshold"]) if distance else None
            remark = "  (out of distribution: unreliable)" * bool(rows[-1]["out_of_distribution"])
            line = f"{probability:11.6f}  {rows[-1]['decision']:<10}  {file}{remark}"
        except Exception as error:  # a damaged file can fail anywhere in a decoder
            rows[-1]["error"] = " ".join(str(error).split()) or type(error).__name__
            line = f"{'–':>11}  unreadable  {file}: {rows[-1]['error']}"
        print(json.dumps(rows[-1]) if chosen.json else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line))
    called = [row for row in rows if row["decision"] == names[1]]
    print(f"threshold {threshold:.6f}: {len(called)} of {len(rows)} called {names[1]}", file=sys.stderr)
    return int(any("error" in row for row in rows))


if __name__ == "__main__":
    Image.MAX_IMAGE_PIXELS = None  # `read` has a limit of its own
    sys.exit(main())
