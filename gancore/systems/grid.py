"""Many small pictures laid out as one, and points of the plane as a picture."""

from __future__ import annotations

import io
import math

from torch import Tensor


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
    """Replaced by the data branch."""
    raise NotImplementedError  # merged from the data branch


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
