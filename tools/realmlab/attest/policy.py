"""Reference values: what a verifier expects of a token beyond valid signatures, in TOML or JSON.

::

    rim = "33f7..."                      # or a list: any of these
    rpv = "00"                           # zero padded to 64 bytes
    lifecycle = ["secured"]              # states or values; default: only secured
    implementation_id = "..."
    instance_id = "..."
    exact_components = true              # no software components other than these
    [rems]
    1 = "..."                            # REM 1 to 4, as RSI numbers them
    [[components]]
    type = "RMM"                         # each listed component must be present and match
    measurement = ["...", "..."]
    signer_id = "..."
    version = "0.1.0"
"""

import json
import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec

from cca_platform.errors import MachineError
from cca_platform.userfiles import KINDS, read_text
from realmlab.attest.token import LIFECYCLES

__all__ = ["Component", "Policy", "PolicyError", "hex_bytes", "load_policy"]

_RPV_SIZE: Final = 64
_REMS: Final = ("1", "2", "3", "4")

Hex = str | list[str]


class PolicyError(MachineError):
    """A policy is invalid; the message says how to fix it."""


class Component(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The expected values of a software component, selected by its type."""

    type: str
    measurement: Hex | None = None
    signer_id: Hex | None = None
    version: str | None = None


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The expectations. None accepts any value."""

    rim: Hex | None = None
    rems: dict[str, Hex] = {}
    rpv: str | None = None
    lifecycle: list[str | int] = msgspec.field(default_factory=lambda: ["secured"])
    implementation_id: Hex | None = None
    instance_id: Hex | None = None
    components: list[Component] = []
    exact_components: bool = False

    def __post_init__(self) -> None:
        for name in self.rems:
            if name not in _REMS:
                raise ValueError(f"rems must be numbered 1 to 4, not {name}")
        lists = {name: getattr(self, name) for name in ("rim", "lifecycle", "implementation_id", "instance_id")}
        lists |= {f"rems.{name}": value for name, value in self.rems.items()}
        for item in self.components:
            lists |= {f"measurement of {item.type}": item.measurement, f"signer_id of {item.type}": item.signer_id}
        for name, value in lists.items():
            if value == []:
                raise ValueError(f"{name} must list at least one value, not none")
        for state in self.lifecycle:
            if isinstance(state, str) and state not in LIFECYCLES.values():
                raise ValueError(f"lifecycle must be of {', '.join(LIFECYCLES.values())}, not {state}")
        values: list[Any] = [self.rim, self.rpv, self.implementation_id, self.instance_id, *self.rems.values()]
        values += [value for item in self.components for value in (item.measurement, item.signer_id)]
        for value in values:
            any_of(value)
        if self.rpv is not None and len(hex_bytes(self.rpv)) > _RPV_SIZE:
            raise ValueError(f"rpv must have at most {_RPV_SIZE} bytes")


def hex_bytes(text: str) -> bytes:
    """Parse hex digits; raises ValueError for anything else."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"{text[:20]!r} must be hex digits, two for each byte") from None


def any_of(value: Hex | None) -> tuple[bytes, ...]:
    """The acceptable values; empty if any value will do."""
    if value is None:
        return ()
    return tuple(hex_bytes(item) for item in ([value] if isinstance(value, str) else value))


def load_policy(path: Path) -> Policy:
    """Read a policy file: JSON if the name ends in .json, else TOML. Raises PolicyError."""
    text = read_text(path, KINDS["policy"], error=PolicyError)
    try:
        data = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        return msgspec.convert(data, Policy)
    except RecursionError:
        raise PolicyError(f"policy {path} must nest a few levels, not so many") from None
    except (ValueError, msgspec.ValidationError) as error:
        raise PolicyError(f"policy {path}: {error}") from None
