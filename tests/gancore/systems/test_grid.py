"""Pictures of points show where they are, how many, and which way is up."""

import torch
from torch import Tensor

from gancore.systems.grid import scatter, sheet


def points(*places: tuple[int, int]) -> Tensor:
    return torch.tensor(places, dtype=torch.uint8)[:, :, None, None]


def bright(picture: Tensor) -> set[tuple[int, int]]:
    """(row, column) of what is brighter than the lines through the middle."""
    return {(int(row), int(column)) for row, column in (picture[0] > 64).nonzero()}


def test_a_point_is_a_small_square_with_y_upwards() -> None:
    picture = scatter(points((200, 30)))
    assert (picture.shape, picture.dtype) == ((1, 256, 256), torch.uint8)
    middle = (255 - 30, 200)
    assert bright(picture) == {
        (middle[0] + down, middle[1] + right) for down in (-1, 0, 1) for right in (-1, 0, 1)
    }


def test_points_on_the_rim_stay_in_the_picture_on_their_own_side() -> None:
    assert bright(scatter(points((0, 255)))) == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_where_more_points_are_it_is_brighter_and_all_at_one_place_is_white() -> None:
    picture = scatter(points((50, 200), *[(100, 200)] * 9, *[(150, 200)] * 90))[0, 55]
    assert 64 < picture[50] < picture[100] < picture[150] < 255
    assert scatter(points(*[(50, 200)] * 100))[0, 55, 50] == 255


def test_a_single_point_has_a_shade_too() -> None:
    assert scatter(points((9, 9)))[0, 246, 9] > 64


def test_only_points_of_the_plane_become_one_picture() -> None:
    assert sheet(points((1, 2), (3, 4))).shape == (1, 256, 256)
    assert sheet(torch.zeros(4, 2, 8, 8, dtype=torch.uint8)).shape == (2, 16, 16)
