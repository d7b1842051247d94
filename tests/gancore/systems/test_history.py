"""The buffer of earlier pictures: what it shows and what it keeps."""

from collections import Counter

import pytest
import torch

from gancore.systems.history import History


def test_the_buffer_exchanges_pictures_and_loses_none_unseen() -> None:
    history, random = History(4, torch.device("cpu")), torch.Generator().manual_seed(0)
    new = torch.arange(4.0).reshape(4, 1, 1, 1)
    assert torch.equal(history.exchanged(new, random), new)
    earlier, places, passed = 0, Counter[int](), 0
    for number in range(4, 2004):
        before = [picture.item() for picture in history.kept]
        shown = history.exchanged(torch.full((1, 1, 1, 1), float(number)), random).item()
        after = [picture.item() for picture in history.kept]
        if shown == number:
            passed += 1
            assert after == before
            continue
        earlier += 1
        place = before.index(shown)
        places[place] += 1
        assert after == [*before[:place], number, *before[place + 1 :]]
    assert passed == pytest.approx(1000, abs=100)  # 4 standard deviations
    assert all(places[place] == pytest.approx(earlier / 4, rel=0.25) for place in range(4))


def test_a_buffer_of_none_shows_what_comes() -> None:
    history, random = History(0, torch.device("cpu")), torch.Generator()
    pictures = torch.rand(2, 1, 4, 4)
    assert history.exchanged(pictures, random) is pictures
    assert not history.kept


def test_what_a_buffer_keeps_is_not_changed_behind_its_back() -> None:
    history, random = History(1, torch.device("cpu")), torch.Generator()
    pictures = torch.ones(1, 1, 2, 2)
    history.exchanged(pictures, random)
    pictures.zero_()
    assert history.kept[0].sum() == 4
