"""A schedule that asks for calibration gets what recorded curves recommend for its very kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeps.asking import load_spec
from sweeps.errors import UserError
from sweeps.simulate import calibrated

SWEEP = """
base: {data: digits, model: mlp, epochs: 9}
scientific:
  loss.name: [hinge, minimax]
search: {trials_each: 1}
schedule: {variant: promotion, calibrate: curves.csv%s}
"""


@pytest.fixture
def curves(tmp_path: Path) -> Path:
    """Nine curves of nine points; the third is worst at the first two points, then best."""
    rows = ["trial,step,score"]
    for trial in range(9):
        for step in range(1, 10):
            late = -100 if step > 2 else 500
            rows.append(f"{trial},{step},{late if trial == 2 else 10 * trial - step}")
    path = tmp_path / "curves.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("brackets", [1, 3])
def test_the_curves_lie_beside_the_sweep_file(curves: Path, brackets: int) -> None:
    file = curves.with_name("q.yaml")
    file.write_text(SWEEP % f", brackets: {brackets}")
    schedule = load_spec(file).schedule
    told = calibrated(curves, 9, "min", variant="promotion", brackets=brackets)
    assert (schedule.grace, schedule.eta) == told
    assert (schedule.variant, schedule.brackets) == ("promotion", brackets)


def test_brackets_and_variant_change_what_is_best(curves: Path) -> None:
    told = [
        calibrated(curves, 9, "min", variant=variant, brackets=brackets)
        for variant, brackets in [("promotion", 1), ("promotion", 3), ("stopping", 1)]
    ]
    assert len(set(told)) > 1


def test_curves_that_are_not_there_are_told(tmp_path: Path) -> None:
    (tmp_path / "q.yaml").write_text(SWEEP % "")
    with pytest.raises(
        UserError, match=r"q.yaml:6: schedule.calibrate: no file or folder 'curves.csv'"
    ):
        load_spec(tmp_path / "q.yaml")
