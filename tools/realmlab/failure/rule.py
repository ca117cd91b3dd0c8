"""A row of the table of causes, and how one is found for a failure."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from .scene import Scene

__all__ = ["Held", "Rule", "When", "find"]

Held = bool | Mapping[str, Any]
"""Whether a condition holds: with the values for the sentences of its row, or without."""
When = Callable[[Scene], Held]


class Rule(Struct, frozen=True):
    """A row of the table. ``name`` is stable, for programs and for links."""

    name: str
    when: When
    """True, or the values for its sentences, if it explains the failure."""
    cause: str
    remedy: str


def find(rules: tuple[Rule, ...], scene: Scene) -> tuple[str, str, str] | None:
    """The (name, cause, remedy) of the first row that holds."""
    for rule in rules:
        held = rule.when(scene)
        if held is not False:
            values = _Values(scene, held if isinstance(held, Mapping) else {})
            return rule.name, rule.cause.format_map(values), rule.remedy.format_map(values)
    return None


class _Values(dict[str, Any]):
    """What the sentences of a row can name."""

    def __init__(self, scene: Scene, held: Mapping[str, Any]) -> None:
        super().__init__(held)
        self.scene = scene

    def __missing__(self, name: str) -> Any:
        return getattr(self.scene, name)
