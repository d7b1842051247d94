"""A population that really trains: what takes over goes on from the state that it names."""

from __future__ import annotations

import pytest
from played_sweep import place_of

from gancore.config import RunConfig
from gancore.training import checkpoint, train
from sweeps import journal
from sweeps.dispatch import Dispatcher
from sweeps.folder import trial_folder
from sweeps.journal import Journal
from sweeps.results import Results
from sweeps.trial import run_trial

EPOCHS = 5


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """One trial at a time, so that a source trains on before its successor has begun."""
    place = place_of(
        tmp_path_factory.mktemp("population"),
        base={
            "data": "digits",
            "model": {"name": "mlp", "width": 16},
            "latent": 8,
            "batch": 128,
            "epochs": EPOCHS,
        },
        scientific={"loss.name": ["hinge"]},
        nuisance={
            "generator.lr": {"log_uniform": [1e-4, 1e-2]},
            "discriminator.beta1": {"uniform": [0, 0.9]},
        },
        search={"method": "pbt", "trials_each": 3},
        schedule={"grace": 2, "eta": 3},
        objective={"samples": 64},
        confirm={"top": 3, "seeds": 1},
    )
    with Journal(place, journal.DRIVER) as log:
        log.append("sweep", state="running", pid=1, code_version="0")
        dispatcher = Dispatcher(Results.read(place), log)
        while uid := dispatcher.next():
            dispatcher.began(uid)
            for told in run_trial(place, dispatcher.plan, uid, device="cpu"):
                decision = dispatcher.judge(
                    uid, told.epoch, told.score, told.stage, ended=told.ended
                )
                if decision.action != "go_on":
                    break
            dispatcher.left(uid)
        assert dispatcher.over
    return Results.read(place)


def test_all_find_the_state_that_they_go_on_from(trained: Results) -> None:
    taken = [r for r in trained.trials.values() if r.trial.source]
    assert [r.trial.begins for r in taken] == [2, 4]
    for result in trained.trials.values():
        assert result.state in ("completed", "stopped"), result.reason
        assert result.starts[0]["from_epoch"] == result.trial.begins
    assert trained.epochs_done == 3 * EPOCHS + 3 * EPOCHS


def test_what_takes_over_has_the_others_state_and_its_own_values(trained: Results) -> None:
    last = next(r for r in trained.trials.values() if r.trial.begins == 4)
    folder = trial_folder(trained.folder, last.trial.source or "") / "checkpoints"
    state = checkpoint.load(checkpoint.path_of(folder, 4)).state
    report = next(train(RunConfig.of(last.trial.config), state=state, device="cpu"))
    assert report.scores[trained.plan.objective] == last.at(5)
    source = trained.trials[last.trial.source or ""]
    assert last.trial.varied != source.trial.varied
    assert last.at(5) != source.at(5)


def test_a_confirmation_changes_its_values_when_its_line_did(trained: Results) -> None:
    again = [r for r in trained.trials.values() if r.trial.before]
    assert again
    for result in again:
        state, scores = None, []
        for until, config in [*result.trial.before, (EPOCHS, result.trial.config)]:
            training = train(RunConfig.of(config), state=state, device="cpu")
            while training.epoch < until:
                scores.append(next(training).scores[trained.plan.objective])
            state = training.state_dict()
        assert scores == [result.at(epoch) for epoch in range(1, EPOCHS + 1)]
