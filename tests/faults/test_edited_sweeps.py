"""A sweep file that was edited: what it means decides, and what is refused has key and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from commanded import TEXT, edited, gansweep, snapshot

from sweeps import journal, make_plan, sweep
from sweeps import resume as resume_sweep
from sweeps.errors import UserError
from sweeps.journal import Journal
from sweeps.options import Options
from sweeps.plan import Plan
from sweeps.spec import read

HARMLESS = {
    "a comment": ("# Which", "# Wh"),
    "order of arms": ("[nonsaturating, hinge]", "[hinge, nonsaturating]"),
    "a default written out": ("search: {", "search: {seed: 0, "),
    "another way to say it": ("data: digits", "data: {name: digits}"),
    "another notation": ("1e-4", "0.0001"),
}


ADOPTED = {
    "resources": ("cpu: 1", "cpu: 2", "resources.cpu"),
    "budget": ("schedule: none", "schedule: none\nbudget: {hours: 3}", "budget.hours"),
}


MORE = {
    "trials": ("trials_each: 2", "trials_each: 3", 10, "search.trials_each: 2 in the sweep, 3"),
    "epochs": ("epochs: 4", "epochs: 9", 5, "base.epochs: 4 in the sweep, 9"),
    "an arm": ("hinge]", "hinge, minimax]", 7, "scientific.loss.name"),
    "seeds": ("seeds: 2", "seeds: 3", 13, "confirm.seeds: 2"),
}


OTHER = {
    "a value of base": ("width: 16", "width: 32", 4, "base.model.width: 16 in the sweep, 32 here"),
    "a range": ("1e-3]", "1e-2]", 9, 'nuisance.generator.lr: {"log_uniform": [0.0001, 0.001]}'),
    "the objective": ("samples: 64", "samples: 65", 12, "what has run was scored otherwise"),
    "fewer trials": ("trials_each: 2", "trials_each: 1", 10, "not taken back"),
    "shorter": ("epochs: 4", "epochs: 3", 5, "not made shorter"),
    "an arm less": ("[nonsaturating, hinge]", "[hinge]", 7, "not taken back"),
    "stop_on": ("schedule: none", "schedule: none\nstop_on: slow", 12, "other verdicts"),
    "the seed": ("search: {", "search: {seed: 1, ", 10, "search.seed: 0 in the sweep, 1 here"),
}


@pytest.mark.usefixtures("untrained")
class TestAnEditedFile:
    @pytest.mark.parametrize("edit", HARMLESS)
    def test_what_means_the_same_goes_on(self, file: Path, tmp_path: Path, edit: str) -> None:
        place = sweep.run(file, Options(storage=tmp_path)).folder
        before = (place / "plan.json").read_bytes()
        file.write_text(edited(*HARMLESS[edit]))
        for again in (resume_sweep(place, source=file), sweep.run(file, Options(storage=tmp_path))):
            assert again.folder == place
        assert (place / "plan.json").read_bytes() == before
        assert not [r for r in journal.read(place, journal.DRIVER) if r["kind"] == "amend"]

    @pytest.mark.parametrize("edit", ADOPTED)
    def test_what_changes_no_trial_is_taken_over(
        self, file: Path, tmp_path: Path, edit: str
    ) -> None:
        old, new, key = ADOPTED[edit]
        place = sweep.run(file, Options(storage=tmp_path)).folder
        trials = Plan.read(place).trials
        file.write_text(edited(old, new))
        code, _ = gansweep("resume", file, "--storage", tmp_path)
        assert code == 130  # Nothing has been trained.
        plan = Plan.read(place)
        assert plan.asked[key] == asked_with(new)[key]
        assert (plan.resources.cpu, plan.budget.hours) in ((2, None), (1, 3))
        assert plan.trials == trials
        gansweep("resume", "q", "--storage", tmp_path)  # By name, what was taken over stays.
        assert Plan.read(place) == plan

    @pytest.mark.parametrize("edit", MORE | OTHER)
    def test_all_else_is_refused_by_key_and_line(
        self, file: Path, tmp_path: Path, edit: str
    ) -> None:
        old, new, line, words = (MORE | OTHER)[edit]
        place = sweep.run(file, Options(storage=tmp_path)).folder
        before = snapshot(place)
        file.write_text(edited(old, new))
        code, out = gansweep("resume", file, "--storage", tmp_path)
        assert code == 2
        assert f"error: {file}:{line}: " in out
        assert words in out
        assert (f"gansweep extend q {file}" in out) == (edit in MORE)
        code, out = gansweep("run", file, "--storage", tmp_path)
        assert code == 3
        assert words in out
        assert "choose another name" in out
        (place / "sweep.yaml").write_text(edited(old, new))  # The copy, edited by hand.
        code, out = gansweep("resume", "q", "--storage", tmp_path)
        assert code == 2
        assert words in out
        (place / "sweep.yaml").write_text(TEXT)
        assert snapshot(place) == before

    def test_a_finished_sweep_is_not_run_twice(self, file: Path, tmp_path: Path) -> None:
        """F14, F18."""
        place = sweep.run(file, Options(storage=tmp_path)).folder
        with Journal(place, journal.DRIVER) as log:
            log.append("sweep", state="finished")
        before = snapshot(place)
        code, out = gansweep("run", file, "--storage", tmp_path)
        assert (code, out.count("\n")) == (3, 1)
        assert "gansweep resume q" in out
        assert resume_sweep(place).state == "finished"
        assert snapshot(place) == before

    def test_a_plug_in_is_compared_by_its_code(self, file: Path, tmp_path: Path) -> None:
        module = tmp_path / "own_module_of_an_edit.py"
        module.write_text("A = 1\n")
        file.write_text(TEXT + "plugins: [own_module_of_an_edit]\n")
        place = sweep.run(file, Options(storage=tmp_path / "runs")).folder
        resume_sweep(place, source=file)
        module.write_text("A = 2\n")
        with pytest.raises(UserError, match="keeps the code that it began with"):
            resume_sweep(place, source=file)


def asked_with(new: str) -> dict[str, Any]:
    old = next(pair[0] for pair in ADOPTED.values() if pair[1] == new)
    return dict(make_plan(read(edited(old, new), "q", Path())).asked)
