"""One's own pictures: what is found, how it is split, and what is refused."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gancore.config import ConfigError, Data, RunConfig
from gancore.data import DataUnavailable, Folder, Split, load


def picture(path: Path, shade: int = 0, size: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (size, size), shade).save(path)


def shades(folder: Folder, split: Split) -> list[int]:
    """The grey of each picture of a split: which pictures they are."""
    pictures = folder.read(split, 8)
    return [int(shade) for shade in pictures.images[:, 0, 0, 0]]


@pytest.fixture
def loose(tmp_path: Path) -> Path:
    for shade in range(20):
        picture(tmp_path / f"{shade:02}.png", shade)
    return tmp_path


def test_a_split_is_disjoint_complete_and_the_same_each_time(loose: Path) -> None:
    folder = Folder(path=str(loose), test_share=0.25)
    train, test = shades(folder, "train"), shades(folder, "test")
    assert len(test) == 5
    assert sorted(train + test) == list(range(20))
    assert test == shades(Folder(path=str(loose), test_share=0.25), "test")
    assert folder.read("train", 8).labels is None


def test_the_split_depends_on_names_alone(
    loose: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    moved = tmp_path_factory.mktemp("elsewhere") / "moved"
    before = shades(Folder(path=str(loose)), "test")
    loose.rename(moved)
    assert shades(Folder(path=str(moved)), "test") == before


def test_a_share_of_zero_holds_nothing_out_and_is_told(loose: Path) -> None:
    folder = Folder(path=str(loose), test_share=0)
    assert len(shades(folder, "train")) == 20
    with pytest.raises(DataUnavailable, match=r"none for the test split .*test_share 0\)"):
        folder.read("test", 8)


def test_even_a_small_folder_has_a_test_picture(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    assert len(shades(Folder(path=str(tmp_path)), "test")) == 1


def test_subfolders_are_classes_by_name(tmp_path: Path) -> None:
    for number in range(10):
        picture(tmp_path / "dogs" / f"{number}.png", 100 + number)
        picture(tmp_path / "cats" / "kittens" / f"{number}.png", number)
    pictures = Folder(path=str(tmp_path)).read("train", 8)
    assert pictures.labels is not None
    assert pictures.labels.dtype == np.int64
    assert np.array_equal(pictures.labels, pictures.images[:, 0, 0, 0] >= 100)


def test_one_loose_picture_means_no_classes(loose: Path) -> None:
    picture(loose / "cats" / "1.png")
    assert Folder(path=str(loose)).read("train", 8).labels is None


def test_subfolders_train_and_test_are_the_splits(tmp_path: Path) -> None:
    for split, base in (("train", 0), ("test", 100)):
        picture(tmp_path / split / "cats" / "1.png", base)
        picture(tmp_path / split / "dogs" / "1.png", base + 1)
    folder = Folder(path=str(tmp_path))
    assert shades(folder, "train") == [0, 1]
    assert shades(folder, "test") == [100, 101]
    labels = folder.read("test", 8).labels
    assert labels is not None
    assert labels.tolist() == [0, 1]


def test_other_files_hidden_ones_and_loops_are_left_out(loose: Path) -> None:
    (loose / "notes.txt").write_text("not a picture")
    (loose / "._01.png").write_text("what a Mac leaves behind")
    picture(loose / ".thumbnails" / "x.png")
    (loose / "again").symlink_to(loose, target_is_directory=True)
    folder = Folder(path=str(loose))
    assert sorted(shades(folder, "train") + shades(folder, "test")) == list(range(20))


def test_channels_are_as_asked(loose: Path) -> None:
    assert Folder(path=str(loose), channels=1).read("train", 8).images.shape[1:] == (1, 8, 8)
    assert Folder(path=str(loose)).read("train", 8).images.shape[1:] == (3, 8, 8)


def test_what_becomes_of_smaller_pictures_is_an_option(loose: Path) -> None:
    with pytest.raises(DataUnavailable, match="8x8 is below 16: see option smaller"):
        Folder(path=str(loose)).read("train", 16)
    bordered = Folder(path=str(loose), smaller="border").read("train", 16).images[-1]
    enlarged = Folder(path=str(loose), smaller="enlarge").read("train", 16).images[-1]
    assert (bordered > 0).sum() == 3 * 8 * 8
    assert (enlarged > 0).all()


def test_files_that_cannot_be_read_are_named_with_their_count(loose: Path) -> None:
    Image.effect_noise((64, 64), 50).save(loose / "cut.png")
    os.truncate(loose / "cut.png", 2000)
    (loose / "page.jpg").write_text("<html>404</html>")
    (loose / "gone.png").symlink_to(loose / "nowhere.png")
    os.mkfifo(loose / "pipe.gif")
    with pytest.raises(DataUnavailable) as caught:
        Folder(path=str(loose), test_share=0).read("train", 8)
    message = str(caught.value)
    assert message.startswith(f"4 of 24 pictures in {loose} cannot be used: ")
    assert "\n" not in message
    for name in ("cut.png", "page.jpg", "gone.png", "pipe.gif"):
        assert name in message


def test_of_many_unreadable_files_ten_are_named(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number:02}.png").write_text("no")
    with pytest.raises(DataUnavailable, match=r"12 of 12 .* 00\.png.* 09\.png .*; \.\.\.$") as told:
        Folder(path=str(tmp_path), test_share=0).read("train", 8)
    assert "10.png" not in str(told.value)


@pytest.mark.parametrize("path", ["pictures/cats", ""])
def test_a_missing_folder_is_named_as_it_was_typed(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataUnavailable, match=f"no folder {path!r} below {tmp_path}"):
        Folder(path=path).identity()


def test_a_folder_without_pictures_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a picture")
    with pytest.raises(DataUnavailable, match="has no pictures"):
        Folder(path=str(tmp_path)).read("train", 8)


def test_a_changed_folder_is_prepared_anew(
    loose: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cache = tmp_path_factory.mktemp("cache")
    data = Data(name="folder", options={"path": str(loose)}, resolution=8)
    before = load(data, "train", cache)
    picture(loose / "20.png", 200)
    picture(loose / "21.png", 201)
    after = load(data, "train", cache)
    assert len(after.images) > len(before.images)
    assert after.fingerprint != before.fingerprint


def test_a_new_name_a_new_time_or_a_new_size_is_another_folder(loose: Path) -> None:
    folder = Folder(path=str(loose))
    identities = [folder.identity(), folder.identity()]
    (loose / "00.png").rename(loose / "000.png")
    identities.append(folder.identity())
    os.utime(loose / "000.png", (1, 1))
    identities.append(folder.identity())
    os.truncate(loose / "000.png", 10)
    os.utime(loose / "000.png", (1, 1))
    identities.append(folder.identity())
    assert len(set(identities)) == 4


@pytest.mark.parametrize("name", ["folder:a/b:c", "folder"])
def test_a_sweep_file_may_say_folder_and_path_in_one(name: str) -> None:
    path = {} if ":" in name else {"path": "a/b:c"}
    data = {"name": name, "resolution": 32, **path}
    run = RunConfig.of({"data": data, "evaluation": {"features": "inception"}})
    assert run.data == Data(name="folder", options={"path": "a/b:c"}, resolution=32)
    assert RunConfig.of(run.as_mapping()) == run


def test_a_path_that_is_given_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.path: the path is given twice"):
        RunConfig.of({"data": {"name": "folder:a", "path": "b", "resolution": 8}})
