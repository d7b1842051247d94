"""A table of named components; each joins it on the line above its definition."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any, ClassVar, Generic, TypeVar, get_origin, get_type_hints

from gancore.schema import MISSING, Option, Refused, unknown

T = TypeVar("T")
LIVE: list[Registry[Any]] = []
"""Every table of this process: what a plug-in or a notebook has registered is found here."""

Registered = TypeVar("Registered", bound=Callable[..., Any])


class Registry(Generic[T]):
    """Named components of one kind.

    The signature is the schema: positional parameters are wiring that gancore supplies,
    keyword-only parameters are hyper-parameters that a search space may name.

    Args:
        kind: What one of them is called in a message: `loss`.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._table: dict[str, Callable[..., T]] = {}
        LIVE.append(self)

    def register(self, name: str) -> Callable[[Registered], Registered]:
        """Adds what it decorates under a name.

        Raises:
            ValueError: Something else has the name already.
        """

        def add(component: Registered) -> Registered:
            taken = self._table.get(name)
            # A module that is imported twice (a plug-in on a reused worker) names itself again.
            if taken is not None and taken.__qualname__ != component.__qualname__:
                raise ValueError(f"{self.kind} {name!r} is already {taken.__qualname__}")
            self._table[name] = component
            return component

        return add

    def names(self) -> list[str]:
        """Every name, sorted."""
        return sorted(self._table)

    def get(self, name: str) -> Callable[..., T]:
        """What is registered under a name.

        Raises:
            Refused: No such name; the message lists or suggests one.
        """
        if name not in self._table:
            raise Refused(unknown(self.kind, name, self._table))
        return self._table[name]

    def options(self, name: str) -> dict[str, Option]:
        """The hyper-parameters of a component by name, read from its signature."""
        component = self.get(name)
        signed: Any = component
        if inspect.isclass(component) and not is_dataclass(component):
            signed = component.__init__
        hints = get_type_hints(signed, include_extras=True)
        return {
            p.name: Option.of(
                p.name,
                hints.get(p.name, object),
                MISSING if p.default is inspect.Parameter.empty else p.default,
            )
            for p in inspect.signature(component).parameters.values()
            if p.kind is inspect.Parameter.KEYWORD_ONLY
        }

    def facts(self, name: str) -> dict[str, Any]:
        """The constant class attributes (`ClassVar`) of a component."""
        component = self.get(name)
        hints = get_type_hints(component) if inspect.isclass(component) else {}
        return {k: getattr(component, k) for k, h in hints.items() if get_origin(h) is ClassVar}

    def build(self, name: str, *wiring: Any, **options: Any) -> T:
        """The component, with every option checked.

        Raises:
            Refused: No such name, no such option, or a value that the option does not take.
        """
        known = self.options(name)
        checked = {}
        for key, value in options.items():
            if key not in known:
                raise Refused(f"{self.kind} {name!r}: " + unknown("option", key, known))
            try:
                checked[key] = known[key].parse(value)
            except Refused as refused:
                raise Refused(f"{self.kind} {name!r}: {key}: {refused}") from None
        return self.get(name)(*wiring, **checked)
