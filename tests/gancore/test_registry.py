"""The table of named components."""

from dataclasses import dataclass

import pytest

from gancore.registry import Registry
from gancore.schema import Positive, Refused


@pytest.fixture
def table() -> Registry[object]:
    shapes: Registry[object] = Registry("shape")

    @shapes.register("circle")
    @dataclass(frozen=True, kw_only=True)
    class Circle:
        radius: Positive = 1.0

    return shapes


def test_a_component_is_built_with_checked_options(table: Registry[object]) -> None:
    circle = table.build("circle", radius=2)
    assert circle == table.build("circle", radius=2.0)
    assert circle != table.build("circle")


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("cirle", {}, "unknown shape 'cirle' (did you mean 'circle'?)"),
        (
            "circle",
            {"raduis": 1},
            "shape 'circle': unknown option 'raduis' (did you mean 'radius'?)",
        ),
        ("circle", {"radius": 0}, "shape 'circle': radius: expected a number > 0, got 0"),
    ],
)
def test_a_mistake_is_named(
    table: Registry[object], name: str, options: dict[str, object], words: str
) -> None:
    with pytest.raises(Refused) as refused:
        table.build(name, **options)
    assert str(refused.value) == words


def test_a_name_belongs_to_one_component(table: Registry[object]) -> None:
    with pytest.raises(ValueError, match="already"):
        table.register("circle")(object)


def test_what_a_notebook_registers_is_known_without_a_source_file() -> None:
    from gancore import Catalogue, RunConfig
    from gancore.losses import losses

    namespace: dict[str, object] = {"__name__": "__main__", "losses": losses}
    code = (
        "from dataclasses import dataclass\n"
        "@losses.register('from_notebook')\n"
        "@dataclass(frozen=True, kw_only=True)\n"
        "class FromNotebook:\n"
        "    scale: float = 2.0\n"
    )
    try:
        exec(code, namespace)
        assert Catalogue.read()["losses"]["from_notebook"].options["scale"].default == 2.0
        assert RunConfig.of({"loss": {"name": "from_notebook", "scale": 3}}).loss.options == {
            "scale": 3.0
        }
    finally:
        losses._table.pop("from_notebook", None)
