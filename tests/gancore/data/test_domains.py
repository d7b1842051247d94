"""Two domains without pairs: which picture is in which, and what each style looks like."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from gancore.config import Data
from gancore.data import (
    DataUnavailable,
    Digits,
    Mnist5k,
    Pictures,
    Split,
    Styles,
    TwoClasses,
    TwoFolders,
    datasets,
    domain,
    load,
)
from gancore.data.domains import _thick
from gancore.schema import Refused


def picture(path: Path, shade: int, size: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (size, size), shade).save(path)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Ten dark pictures and five light ones."""
    for shade in range(10):
        picture(tmp_path / "dark" / f"{shade}.png", shade)
    for shade in range(200, 205):
        picture(tmp_path / "light" / "sub" / f"{shade}.png", shade)
    return tmp_path / "dark", tmp_path / "light"


def two(folders: tuple[Path, Path], **options: object) -> TwoFolders:
    a, b = map(str, folders)
    return datasets.build("two_folders", path_a=a, path_b=b, **options)  # type: ignore[return-value]


def shades(pictures: Pictures) -> list[int]:
    return sorted(int(shade) for shade in pictures.images[:, 0, 0, 0])


def set_of(images: npt.NDArray[np.uint8]) -> set[bytes]:
    return {image.tobytes() for image in images}


@pytest.mark.parametrize("split", ["train", "test"])
def test_no_digit_is_in_both_domains_and_none_is_lost(split: Split) -> None:
    one, other = Styles(a="plain", b="thick"), Styles(a="thick", b="plain")
    a = domain(one.read(split, 28), 0)
    b = domain(other.read(split, 28), 1)
    digits = Mnist5k().read(split, 28)
    assert not set_of(a.images[:, 0]) & set_of(b.images[:, 0])
    assert set_of(a.images[:, 0]) | set_of(b.images[:, 0]) == set_of(digits.images[:, 0])
    each = 200 if split == "train" else 50
    for which, half in enumerate((a, b)):
        assert half.labels is not None
        assert set((half.labels % 2).tolist()) == {which}
        assert np.bincount(half.labels // 2).tolist() == [each] * 10


def test_a_label_says_which_digit_it_is() -> None:
    digits = Mnist5k().read("test", 28)
    assert digits.labels is not None
    told = {i.tobytes(): n for i, n in zip(digits.images[:, 0], digits.labels, strict=True)}
    plain = domain(Styles(a="plain", b="ink").read("test", 28), 0)
    assert plain.labels is not None
    assert [told[i.tobytes()] for i in plain.images[:, 1]] == (plain.labels // 2).tolist()


def test_each_style_looks_as_it_is_described() -> None:
    plain, ink, coloured, thick, outlined = (
        domain(Styles(a=a, b=b).read("train", 32), 0).images[:50].astype(int)  # type: ignore[arg-type]
        for a, b in zip(
            ("plain", "ink", "coloured", "thick", "outlined"), ("ink", *["plain"] * 4), strict=True
        )
    )
    assert (plain == plain[:, :1]).all()
    ground, stroke = plain[:, 0] == 0, plain[:, 0] == 255
    for channel, (paper, dark) in enumerate(zip((250, 240, 215), (20, 30, 120), strict=True)):
        assert set(ink[:, channel][ground]) == {paper}
        assert set(ink[:, channel][stroke]) == {dark}
    assert (coloured.max(1) == plain[:, 0]).all()
    assert (coloured.min(1) == 0).all()
    hues = {tuple(digit.reshape(3, -1).max(1)) for digit in coloured}
    assert len(hues) > 40
    assert (thick >= plain).all()
    assert (thick > 0).sum() > 1.5 * (plain > 0).sum()
    assert (outlined == thick - plain).all()


def test_a_stroke_is_two_pixels_wider() -> None:
    dot = np.zeros((1, 7, 7))
    dot[0, 3, 3] = 0.5
    wide = _thick(dot)
    assert wide.shape == (1, 3, 7, 7)
    assert (wide[0, :, 2:5, 2:5] == 0.5).all()
    assert wide.sum() == pytest.approx(3 * 9 * 0.5)


def test_domains_stay_memory_mapped_and_have_fingerprints(tmp_path: Path) -> None:
    pictures = load(Data(name="styles", resolution=8), "test", tmp_path)
    a, b = domain(pictures, 0), domain(pictures, 1)
    for half in (a, b):
        assert isinstance(half.images, np.memmap)
        assert np.shares_memory(half.images, pictures.images)
    assert len({a.fingerprint, b.fingerprint, pictures.fingerprint}) == 3


def test_domains_that_are_mixed_are_picked_out() -> None:
    images = np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1)
    pictures = Pictures(images, np.array([2, 1, 0, 3, 4]))
    assert shades(domain(pictures, 0)) == [0, 2, 4]
    assert shades(domain(pictures, 1)) == [1, 3]


@pytest.mark.parametrize("labels", [None, np.array([0, 2])])
def test_pictures_without_a_domain_are_refused(labels: npt.NDArray[np.int64] | None) -> None:
    pictures = Pictures(np.zeros((2, 1, 4, 4), np.uint8), labels)
    with pytest.raises(DataUnavailable, match=r"no labels|none of domain B"):
        domain(pictures, 1)


def test_two_folders_are_two_domains(folders: tuple[Path, Path]) -> None:
    source = two(folders, test_share=0.2)
    train, test = source.read("train", 8), source.read("test", 8)
    for which, first, count in ((0, 0, 10), (1, 200, 5)):
        parts = domain(train, which), domain(test, which)
        assert [len(part.images) for part in parts] == [count - count // 5, count // 5]
        assert sorted(shades(parts[0]) + shades(parts[1])) == list(range(first, first + count))


def test_the_options_of_two_folders_reach_both(folders: tuple[Path, Path]) -> None:
    pictures = two(folders, channels=1, smaller="enlarge").read("train", 16)
    assert pictures.images.shape[1:] == (1, 16, 16)
    assert domain(pictures, 1).images.min() >= 200  # a border would be black
    with pytest.raises(DataUnavailable, match="8x8 is below 16"):
        two(folders).read("train", 16)


def test_the_folder_with_the_fault_is_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = folders
    with pytest.raises(DataUnavailable, match=f"no folder '{tmp_path}/lihgt'"):
        two((a, tmp_path / "lihgt")).identity()
    (b / "broken.png").write_text("no picture")
    with pytest.raises(DataUnavailable, match=f"1 of . pictures in {b} cannot be used: broken"):
        two((a, b), test_share=0).read("train", 8)


def test_a_change_in_either_folder_or_option_is_noticed(folders: tuple[Path, Path]) -> None:
    identities = [two(folders).identity(), two(folders, channels=1).identity()]
    for folder in folders:
        picture(folder / "new.png", 7)
        identities.append(two(folders).identity())
    assert len(set(identities)) == 4


def test_two_classes_of_any_labelled_set_are_two_domains() -> None:
    digits = Digits().read("train", 8)
    pictures = TwoClasses(of="digits", a=3, b=8).read("train", 8)
    for which, label in enumerate((3, 8)):
        half = domain(pictures, which)
        assert np.array_equal(half.images, digits.of_class(label).images)
        assert half.labels is not None
        assert set(half.labels.tolist()) == {which}


def test_other_styles_and_classes_are_other_data(tmp_path: Path) -> None:
    options = [{"of": "digits"}, {"of": "digits", "a": 2}, {"of": "digits", "a": 1, "b": 0}]
    sets = [
        load(Data(name="two_classes", options=o, resolution=8), "test", tmp_path) for o in options
    ]
    assert len({pictures.fingerprint for pictures in sets}) == 3
    assert Styles(a="ink", b="plain").identity() != Styles(a="plain", b="ink").identity()


def test_what_two_classes_cannot_use_is_told() -> None:
    with pytest.raises(Refused, match=r"unknown data set 'digit' \(did you mean 'digits'\?\)"):
        TwoClasses(of="digit").identity()
    with pytest.raises(DataUnavailable, match="'folder' needs path, which cannot be given here"):
        TwoClasses(of="folder").identity()
    with pytest.raises(DataUnavailable, match="none of class 12"):
        TwoClasses(of="digits", a=12).read("train", 8)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("styles", {"a": "ink"}),
        ("two_classes", {"of": "digits", "a": 1}),
        ("two_folders", {"path_a": "x", "path_b": "x"}),
    ],
)
def test_a_domain_cannot_be_its_own_other(name: str, options: dict[str, object]) -> None:
    with pytest.raises(Refused, match=r"must differ: both are"):
        datasets.build(name, **options)
