"""Sweep files, right and wrong."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gancore.catalogue import Catalogue
from sweeps.plan import Plan, make_plan
from sweeps.spec import SweepSpec, load, plugin_files
from sweeps.yamlfile import SpecError

WRONG = sorted((Path(__file__).parent / "wrong").glob("*.yaml"))

RIGHT = """
base:
  data: {name: mnist5k, resolution: 32}
  system: adversarial
  model: {name: dcgan, width: 32}
  epochs: 12
scientific:
  loss.name: [minimax, nonsaturating, wasserstein, wasserstein_gp]
nuisance:
  generator.lr: {log_uniform: [1e-5, 1e-2]}
  discriminator.lr: {log_uniform: [1e-5, 1e-2]}
  loss.clip: {log_uniform: [1e-3, 1], when: {loss.name: wasserstein}}
search: {method: random, trials_each: 8, seed: 0}
schedule: {name: asha, grace: 2, eta: 3, within: arm}
objective: {metric: fid, samples: 5000}
resources: {cpu: 1, gpu: 0.25}
"""


OWN = Catalogue.read_source()


def written(folder: Path, text: str, name: str = "sweep.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def complaints(path: Path) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(path)
    return str(caught.value).splitlines()


def test_a_right_file_is_read(tmp_path: Path) -> None:
    spec = load(written(tmp_path, RIGHT, "which_loss.yaml"))
    assert spec.name == "which_loss"
    assert spec.text == RIGHT
    assert spec.objective.samples == 5000
    assert spec.schedule.grace == 2
    assert spec.resources.gpu == 0.25
    assert [d.path for d in spec.space.scientific] == ["loss.name"]
    assert spec.config({"loss.name": "hinge"})["model"] == {"name": "dcgan", "width": 32}


@pytest.mark.parametrize("path", WRONG, ids=lambda p: p.stem)
def test_every_problem_of_a_wrong_file_is_told_with_its_line(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    expected = [f"{path}:{line}" for line in re.findall(r"^# expect (.*)$", text, re.MULTILINE)]
    told = complaints(path)
    assert len(told) == len(expected), "\n".join(told)
    for got, want in zip(told, expected, strict=True):
        assert got == want or (want.endswith("...") and got.startswith(want[:-3]))


def test_there_are_at_least_twenty_five_wrong_files() -> None:
    assert len(WRONG) >= 25


CHECK = """
import sys
from pathlib import Path
from sweeps.plan import make_plan
from sweeps.spec import load
from sweeps.yamlfile import SpecError

try:
    make_plan(load(Path(sys.argv[1])))
except SpecError:
    pass
sys.exit(" ".join({"torch", "ray", "mlflow", "numpy", "pandas", "scipy"} & set(sys.modules)) or 0)
"""


@pytest.mark.parametrize("kind", ["right", "wrong", "a billion trials"])
def test_the_answer_comes_without_heavy_imports_and_without_unfolding_a_billion_trials(
    tmp_path: Path, kind: str
) -> None:
    file = written(tmp_path, RIGHT if kind == "right" else RIGHT.replace("minimax", "minimx"))
    if kind == "a billion trials":
        file = Path(__file__).parent / "wrong" / "a_grid_of_a_billion.yaml"
    subprocess.run([sys.executable, "-c", CHECK, str(file)], check=True, timeout=100)


def edits(word: str) -> list[str]:
    """One letter dropped, doubled, swapped with its neighbour, or replaced, in the middle."""
    i = len(word) // 2
    return [
        word[:i] + word[i + 1 :],
        word[:i] + word[i] + word[i:],
        word[: i - 1] + word[i] + word[i - 1] + word[i + 1 :],
        word[:i] + "q" + word[i + 1 :],
    ]


def test_one_letter_edits_are_answered_with_the_right_word(tmp_path: Path) -> None:
    words = [
        "scientific", "nuisance", "schedule", "objective", "resources", "search", "model",
        "epochs", "system", "trials_each", "method", "grace", "within", "samples", "metric",
        "log_uniform", "generator.lr", "discriminator.lr", "loss.clip", "loss.name",
        "minimax", "nonsaturating", "wasserstein_gp", "mnist5k", "dcgan", "asha", "random",
        "width", "resolution", "when",
    ]  # fmt: skip
    asked = right = 0
    for word in words:
        for edit in edits(word):
            text = re.sub(rf"(?<![\w.]){re.escape(word)}(?![\w.])", edit, RIGHT, count=1)
            if edit == word or text == RIGHT:
                continue
            asked += 1
            told = complaints(written(tmp_path, text))
            # An option of a component is suggested by its whole path.
            right += len(told) == 1 and bool(re.search(rf"did you mean '(\w+\.)?{word}'", told[0]))
    assert asked >= 60
    assert right / asked >= 0.95


def test_a_list_item_is_blamed_on_its_own_line(tmp_path: Path) -> None:
    text = (
        "scientific:\n  loss.name:\n  - hinge\n  - hing\n  penalty.name:\n    choice:\n    - r11\n"
    )
    told = complaints(written(tmp_path, text, "q.yaml"))
    assert [line.split(": ")[0] for line in told] == [
        f"{tmp_path}/q.yaml:4",
        f"{tmp_path}/q.yaml:7",
    ]


def test_a_key_in_base_that_is_also_varied_takes_the_varied_value(tmp_path: Path) -> None:
    text = "base: {batch: 16, loss: hinge}\nscientific: {batch: [32, 64]}\n"
    spec = load(written(tmp_path, text))
    assert spec.config({"batch": 64})["batch"] == 64
    assert spec.config({})["loss"] == {"name": "hinge"}


def test_a_tie_may_follow_a_tie(tmp_path: Path) -> None:
    text = """
scientific: {loss.name: [hinge, wasserstein]}
nuisance:
  ema_kimg: {same_as: discriminator.lr, times: 10}
  discriminator.lr: {same_as: generator.lr, times: 4}
  generator.lr: [1e-4, 2e-4]
  loss.clip: {same_as: generator.lr, when: {loss.name: wasserstein}}
search: {method: grid}
"""
    plan = make_plan(load(written(tmp_path, text)))
    assert [(t.config["ema_kimg"], t.config["discriminator"]["lr"]) for t in plan.trials] == [
        (rate * 40, rate * 4) for rate in (1e-4, 1e-4, 2e-4, 2e-4)
    ]
    assert [t.config["loss"].get("clip") for t in plan.trials] == [None, 1e-4, None, 2e-4]
    assert plan.tied == ("ema_kimg", "discriminator.lr", "loss.clip")
    plan.write(tmp_path)
    assert Plan.read(tmp_path).digest == plan.digest


def test_schedule_may_be_its_name_alone(tmp_path: Path) -> None:
    spec = load(written(tmp_path, "scientific: {batch: [32, 64]}\nschedule: none\n"))
    assert spec.schedule.name == "none"


def test_the_same_from_python() -> None:
    spec = SweepSpec.of({"name": "q", "scientific": {"batch": (32, 64)}, "schedule": "none"})
    assert spec.name == "q"
    assert [d.values.corners for d in spec.space.scientific] == [(32, 64)]


def test_what_python_gave_is_kept_as_a_sweep_file(tmp_path: Path) -> None:
    mapping = {"name": "q", "nuisance": {"generator.lr": {"log_uniform": [1e-5, 1e-2]}}}
    spec = SweepSpec.of(mapping)
    assert load(written(tmp_path, spec.text)) == spec


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"scientific": {"batch": [1, 2]}}, "name: expected letters"),
        ({"name": "q", "scientific": {"loss.name": ["hing"]}}, "loss.name: unknown loss 'hing'"),
        ({"name": "q", "scientific": {"batch": {1, 2}}}, "not plain data: Object of type set"),
    ],
)
def test_a_wrong_mapping_is_refused_without_lines(mapping: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        SweepSpec.of(mapping)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("stem", ["my sweep", "-rf", "Ünïcode", "a" * 101])
def test_a_file_name_that_no_folder_should_have_asks_for_a_name(tmp_path: Path, stem: str) -> None:
    (told,) = complaints(written(tmp_path, "scientific: {batch: [1, 2]}\n", f"{stem}.yaml"))
    assert told.endswith("from the file's name")


PLUGIN = """
from gancore.losses import losses

raise RuntimeError("a plug-in must not run while a sweep file is checked")

@losses.register("mine")
class Mine:
    strength: float = 1.0
"""


def test_a_plugin_beside_the_file_is_read_without_being_run(tmp_path: Path) -> None:
    (tmp_path / "my_losses.py").write_text(PLUGIN)
    text = (
        "plugins: [my_losses]\nscientific: {loss.name: [mine]}\nnuisance: {loss.strength: [1, 2]}"
    )
    spec = load(written(tmp_path, text))
    assert plugin_files(spec) == [tmp_path / "my_losses.py"]
    assert spec.plugin_roots() == [tmp_path / "my_losses.py"]
    wrong = complaints(written(tmp_path, text.replace("loss.strength", "loss.strenth")))
    assert wrong[0].endswith("unknown key 'loss.strenth' (did you mean 'loss.strength'?)")


def test_a_package_is_taken_whole(tmp_path: Path) -> None:
    package = tmp_path / "mine"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("import mine.deep.losses")
    (package / "deep" / "losses.py").write_text(PLUGIN)
    (package / "deep" / "__init__.py").touch()
    text = "plugins: [mine.deep.losses]\nscientific: {loss.name: [mine, hinge]}"
    spec = load(written(tmp_path, text))
    assert spec.plugin_roots() == [package]
    assert package / "deep" / "losses.py" in plugin_files(spec)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def broken(:\n", "mine.py is not Python on line 1: invalid syntax"),
        (
            '@losses.register("hinge")\nclass Hinge: ...\n',
            "mine.py:2 names a loss 'hinge', which gancore has",
        ),
    ],
)
def test_a_plugin_that_could_not_be_imported_is_refused(
    tmp_path: Path, source: str, message: str
) -> None:
    (tmp_path / "mine.py").write_text(source)
    told = complaints(written(tmp_path, "plugins:\n- mine\nscientific: {batch: [1, 2]}"))
    assert [line.split(": ", 2)[2] for line in told] == [message]


JUNK = [None, True, -1, 0, 1e400, float("nan"), "", "junk", [], {}, [[1]], {"a": {"b": 1}}, 10**200]


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_junk_anywhere_is_refused_or_read_but_never_a_traceback(junk: object) -> None:
    """Each value of a right file in turn becomes junk."""
    whole = {
        "name": "q",
        "plugins": [],
        "base": {"data": {"name": "mnist5k", "resolution": 32}, "model": "dcgan", "epochs": 3},
        "scientific": {"loss.name": ["hinge", "wasserstein"]},
        "nuisance": {
            "generator.lr": {"log_uniform": [1e-5, 1e-2]},
            "loss.clip": {"choice": [0.1, 1], "when": {"loss.name": "wasserstein"}},
            "latent": {"int_uniform": [8, 16]},
            "discriminator.lr": {"same_as": "generator.lr", "times": 2},
        },
        "search": {"method": "random", "trials_each": 2, "seed": 0},
        "schedule": {"name": "asha", "grace": 1},
        "objective": {"metric": "fid", "samples": 1000},
        "resources": {"cpu": 1},
    }

    def variants(value: object) -> list[object]:
        found: list[object] = [junk]
        if isinstance(value, dict):
            found += [{**value, k: v} for k, inner in value.items() for v in variants(inner)]
        if isinstance(value, list):
            found += [
                [*value[:i], v, *value[i + 1 :]]
                for i, inner in enumerate(value)
                for v in variants(inner)
            ]
        return found

    refused = 0
    for variant in variants(whole)[1:]:
        assert isinstance(variant, dict)
        try:
            SweepSpec.of(variant)
        except SpecError:
            refused += 1
    assert refused > 10


def test_a_loss_that_varies_is_rid_of_the_options_that_a_preset_gives_to_its_own() -> None:
    sweep = {
        "name": "varied",
        "base": {"system": "wgan", "data": "digits"},
        "scientific": {"loss.name": ["wasserstein", "hinge"]},
        "search": {"trials_each": 1},
    }
    clipped, hinge = (trial.config["loss"] for trial in make_plan(SweepSpec.of(sweep)).trials)
    assert clipped == {"name": "wasserstein", "clip": 0.01}
    assert hinge == {"name": "hinge"}
