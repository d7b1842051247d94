"""Any picture becomes a square of 8-bit pixels by one rule."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from gancore.data.canvas import fit_all, square_picture

Pixels = npt.NDArray[np.uint8]


def read(path: Path, channels: int = 3, resolution: int = 8) -> Pixels:
    return square_picture(path, channels, resolution, "refuse")


def saved(picture: Image.Image, path: Path, **options: object) -> Path:
    picture.save(path, **options)  # type: ignore[arg-type]
    return path


def colour_of(pixels: Pixels) -> list[int]:
    """The one colour that all pixels [C, H, W] have."""
    assert (pixels == pixels[:, :1, :1]).all()
    return [int(value) for value in pixels[:, 0, 0]]


def test_digits_of_28_pixels_get_two_black_pixels_on_each_side() -> None:
    digits = np.random.default_rng(0).integers(1, 256, (3, 1, 28, 28), dtype=np.uint8)
    fitted = fit_all(digits, 32)
    assert np.array_equal(fitted, np.pad(digits, ((0, 0), (0, 0), (2, 2), (2, 2))))


def test_pictures_that_fit_are_not_copied() -> None:
    images = np.zeros((2, 3, 32, 32), np.uint8)
    assert fit_all(images, 32) is images


@pytest.mark.parametrize("resolution", [8, 32])
def test_each_channel_of_an_array_is_fitted_like_a_grey_picture(resolution: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 16, 20), dtype=np.uint8)
    fitted = fit_all(images, resolution)
    for channel in range(3):
        grey = fit_all(images[:, channel : channel + 1], resolution)
        assert np.array_equal(fitted[:, channel : channel + 1], grey)


def test_reduction_is_antialiased() -> None:
    """A checkerboard of single pixels is grey from afar; taking every fourth pixel is not."""
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[None, None]
    reduced = fit_all(board, 16).astype(int)
    assert abs(reduced[..., 2:-2, 2:-2] - 127.5).max() <= 2


def test_a_picture_that_is_not_square_is_cropped_to_its_centre(tmp_path: Path) -> None:
    pixels = np.zeros((8, 24, 3), np.uint8)
    pixels[:, 8:16] = 200
    wide = saved(Image.fromarray(pixels), tmp_path / "wide.png")
    tall = saved(Image.fromarray(pixels.transpose(1, 0, 2)), tmp_path / "tall.png")
    assert colour_of(read(wide)) == colour_of(read(tall)) == [200, 200, 200]


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    lying = np.zeros((8, 8), np.uint8)
    lying[:, :4] = 255  # Orientation 6: what is stored left belongs on top.
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(Image.fromarray(lying), tmp_path / "photo.png", exif=exif)
    assert np.array_equal(read(path, channels=1)[0], lying.T)


RED, HALF_RED = (200, 0, 0), (100, 0, 0)


def palette_with_a_hole() -> Image.Image:
    picture = Image.new("P", (8, 8), 1)
    picture.putpalette([0, 0, 0, *RED])
    picture.info["transparency"] = bytes([255, 128])
    return picture


def grey_16() -> Image.Image:
    return Image.fromarray(np.full((8, 8), 0x80FF, np.uint16))


@pytest.mark.parametrize(
    ("picture", "suffix", "colour"),
    [
        (Image.new("RGB", (8, 8), RED), "png", RED),
        (Image.new("RGB", (8, 8), RED), "bmp", RED),
        (Image.new("RGB", (8, 8), RED), "gif", RED),
        (Image.new("L", (8, 8), 77), "png", (77, 77, 77)),
        (Image.new("1", (8, 8), 1), "png", (255, 255, 255)),
        (Image.new("RGBA", (8, 8), (*RED, 0)), "png", (0, 0, 0)),
        (Image.new("RGBA", (8, 8), (*RED, 128)), "png", HALF_RED),
        (Image.new("LA", (8, 8), (200, 128)), "png", (100, 100, 100)),
        (palette_with_a_hole(), "png", HALF_RED),
        (grey_16(), "png", (0x80, 0x80, 0x80)),
        (grey_16(), "tiff", (0x80, 0x80, 0x80)),
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "tiff", (255, 0, 0)),
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "jpg", (254, 0, 0)),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else None,
)
def test_every_kind_of_pixel_becomes_rgb(
    picture: Image.Image, suffix: str, colour: tuple[int, int, int], tmp_path: Path
) -> None:
    path = saved(picture, tmp_path / f"picture.{suffix}")
    assert colour_of(read(path)) == pytest.approx(list(colour), abs=1)


def test_colour_becomes_grey_by_luma(tmp_path: Path) -> None:
    path = saved(Image.new("RGB", (8, 8), (0, 100, 0)), tmp_path / "green.png")
    assert colour_of(read(path, channels=1)) == [59]  # 0.587 * 100


def test_pixels_without_a_known_range_are_refused(tmp_path: Path) -> None:
    wide = saved(Image.fromarray(np.full((8, 8), 70000, np.int32)), tmp_path / "wide.tiff")
    real = saved(Image.fromarray(np.full((8, 8), 0.5, np.float32)), tmp_path / "real.tiff")
    with pytest.raises(ValueError, match="32 bits has no known range"):
        read(wide)
    with pytest.raises(ValueError, match="floating-point"):
        read(real)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_of_an_animation_the_first_frame_is_taken(suffix: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black")]
    path = tmp_path / f"moving.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    assert colour_of(read(path)) == [255, 255, 255]


def test_smaller_pictures_are_refused_bordered_or_enlarged_as_asked(tmp_path: Path) -> None:
    path = saved(Image.new("L", (4, 6), 90), tmp_path / "small.png")
    with pytest.raises(ValueError, match="4x6 is below 8: see option smaller"):
        read(path)
    assert colour_of(square_picture(path, 1, 8, "enlarge")) == [90]
    bordered = square_picture(path, 1, 8, "border")[0]
    assert np.array_equal(bordered, np.pad(np.full((4, 4), 90), 2))


def bomb(side: int) -> bytes:
    """A valid grey PNG of side x side black pixels, a thousandth of their size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    row = zlib.compressobj()
    rows = b"".join(row.compress(bytes(side + 1)) for _ in range(side)) + row.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def peak_bytes() -> int:
    """Most memory this process held since its peak was last cleared."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="needs Linux")
def test_a_bomb_is_refused_by_its_header_and_memory_stays_flat(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(9000))  # 81 MB of pixels, below Pillow's own warning
    assert path.stat().st_size < 100_000
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_bytes()
    with pytest.raises(ValueError, match="9000x9000 pixels"):
        read(path)
    assert peak_bytes() - before < 20e6


def test_a_pipe_named_like_a_picture_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match="not a regular file"):
        read(tmp_path / "pipe.png")
