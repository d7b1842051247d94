"""Many small pictures laid out as one, and points of the plane as a picture."""

from __future__ import annotations

import io
import math

import torch
from torch import Tensor
from torch.nn import functional as F

_SIDE = 256
"""Of a picture of points: a pixel for each of the values that a coordinate can have."""

_FAINTEST, _LINES = 110, 32
"""Shades of a single point and of the lines through the middle, of 255."""


def tile(pictures: Tensor, columns: int | None = None) -> Tensor:
    """Lays pictures out in rows, as near to a square as they go.

    Args:
        pictures: uint8 [N, C, H, W].
        columns: Pictures a row; None takes the root of N, rounded up.

    Returns:
        uint8 [C, rows * H, columns * W]; places left over are black.
    """
    count, channels, height, width = pictures.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    canvas = pictures.new_zeros(rows * columns, channels, height, width)
    canvas[:count] = pictures
    table = canvas.reshape(rows, columns, channels, height, width)
    return table.permute(2, 0, 3, 1, 4).reshape(channels, rows * height, columns * width)


def sheet(pictures: Tensor) -> Tensor:
    """Pictures side by side, or points of the plane in one picture, uint8 [1 or 3, H, W]."""
    return scatter(pictures) if pictures.shape[1:] == (2, 1, 1) else tile(pictures)


def scatter(points: Tensor) -> Tensor:
    """Points of the plane as their density, with y upwards.

    A point is a square of three pixels; the more squares lie on a pixel, the brighter it is, by
    the logarithm of their share of all points: pictures of equally many points compare.

    Args:
        points: uint8 [N, 2, 1, 1]: x and y, of which 0 to 255 is meant as -1 to 1.

    Returns:
        uint8 [1, 256, 256]; the lines are those of x = 0 and y = 0.
    """
    x, y = points.cpu().long().flatten(1).unbind(1)
    cells = ((_SIDE - 1 - y) * _SIDE + x).bincount(minlength=_SIDE**2)
    counts = F.avg_pool2d(cells.view(1, _SIDE, _SIDE).float(), 3, 1, 1, divisor_override=1)
    shades = _FAINTEST + (255 - _FAINTEST) * counts.log() / math.log(max(2, len(points)))
    canvas = torch.zeros_like(counts)
    middle = slice(_SIDE // 2 - 1, _SIDE // 2 + 1)  # 0 is between 127 and 128.
    canvas[:, middle], canvas[:, :, middle] = _LINES, _LINES
    return shades.where(counts > 0, canvas).round().to(torch.uint8)


def png(picture: Tensor, scale: int = 1) -> bytes:
    """A picture as a PNG file.

    Args:
        picture: uint8 [1 or 3, H, W].
        scale: Each pixel becomes a square of this many pixels, so that small pictures can be
            judged by eye.
    """
    from PIL import Image  # Loaded only where pictures are written.

    enlarged = picture.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    array = enlarged.permute(1, 2, 0).squeeze(-1).contiguous().cpu().numpy()
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()
