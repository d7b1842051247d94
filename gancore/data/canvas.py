"""The one rule by which a picture of any kind becomes a square of 8-bit pixels.

1. Its first frame is taken and turned upright as its EXIF orientation says.
2. Colours: what is transparent is laid on black; of 16 bits the upper 8 are kept; palettes, CMYK
   and the like become RGB, and RGB becomes grey as ITU-R 601-2 luma where one channel is asked for.
3. The centre is cropped to a square.
4. A square larger than the resolution is reduced by an antialiased Lanczos filter. A smaller one
   is centred on black (28 -> 32 adds two pixels on each side); one's own folder may instead refuse
   or enlarge it (see `folder.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

RULE = 1
"""Counts up when the rule changes, so that arrays made by an older one are not used again."""

LARGEST_PIXELS = 64 * 2**20
"""A file whose header promises more is refused before a byte of it is decoded."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")

Smaller = Literal["refuse", "border", "enlarge"]
"""What becomes of a picture that is smaller than the resolution."""


def square_picture(
    path: Path, channels: int, resolution: int, smaller: Smaller
) -> npt.NDArray[np.uint8]:
    """The picture in a file, by the rule, [C, H, W].

    Raises:
        ValueError: The picture is too large or too small, or its pixels are not of a known kind.
        Exception: Whatever a decoder of Pillow raises at a damaged file.
    """
    if not path.is_file():  # A pipe would wait for a writer for ever.
        raise ValueError("not a regular file")
    with Image.open(path, formats=FORMATS) as picture:
        width, height = picture.size
        if width * height > LARGEST_PIXELS:
            raise ValueError(f"{width}x{height} pixels are more than {LARGEST_PIXELS >> 20} Mi")
        if smaller == "refuse" and min(width, height) < resolution:
            raise ValueError(f"{width}x{height} is below {resolution}: see option smaller")
        upright = ImageOps.exif_transpose(picture)
    return _planes(_fit(_colours(upright, channels), resolution, smaller))


def fit_all(images: npt.NDArray[np.uint8], resolution: int) -> npt.NDArray[np.uint8]:
    """Decoded pictures [N, C, H, W] as squares of a resolution, [N, C, resolution, resolution]."""
    if images.shape[2:] == (resolution, resolution):
        return images
    channels = images.shape[1]
    fitted = np.empty((len(images), channels, resolution, resolution), np.uint8)
    for place, planes in zip(fitted, images, strict=True):
        pixels = planes[0] if channels == 1 else planes.transpose(1, 2, 0)
        picture = Image.fromarray(np.ascontiguousarray(pixels))
        place[:] = _planes(_fit(picture, resolution, "border"))
    return fitted


def _colours(picture: Image.Image, channels: int) -> Image.Image:
    if picture.mode.startswith("I"):  # Grey of 16 bits; Pillow itself would clip it at 255.
        pixels = np.asarray(picture)
        if pixels.min() < 0 or pixels.max() > 0xFFFF:
            raise ValueError("grey of 32 bits has no known range")
        picture = Image.fromarray((pixels >> 8).astype(np.uint8))
    elif picture.mode == "F":
        raise ValueError("floating-point pixels have no known range")
    elif picture.has_transparency_data:
        black = Image.new("RGBA", picture.size, "black")
        picture = Image.alpha_composite(black, picture.convert("RGBA"))
    return picture.convert("L" if channels == 1 else "RGB")


def _fit(picture: Image.Image, resolution: int, smaller: Smaller) -> Image.Image:
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side, top + side)
    if side > resolution or (side < resolution and smaller == "enlarge"):
        return picture.resize((resolution, resolution), Image.Resampling.LANCZOS, box)
    canvas = Image.new(picture.mode, (resolution, resolution))
    corner = (resolution - side) // 2
    canvas.paste(picture.crop(box), (corner, corner))
    return canvas


def _planes(picture: Image.Image) -> npt.NDArray[np.uint8]:
    pixels = np.asarray(picture)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
