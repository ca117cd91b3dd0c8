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

from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from cca_platform.errors import MachineError
from cca_platform.schema import SchemaError, fit, parse_json, parse_toml
from cca_platform.userfiles import KINDS, read_text, shown
from realmlab.attest.token import LIFECYCLES

__all__ = ["Component", "Policy", "PolicyError", "hex_bytes", "load_policy"]

_RPV_SIZE: Final = 64
_REMS: Final = ("1", "2", "3", "4")

Hex = str | list[str]


class PolicyError(MachineError):
    """A policy is invalid; the message says how to fix it."""


class Component(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The expected values of a software component, selected by its type. Each that is listed must be present."""

    type: Annotated[str, Meta(description="its type, such as `RMM`")]
    measurement: Annotated[Hex | None, Meta(description="its measurement, in hex; or a list: any of these")] = None
    signer_id: Annotated[Hex | None, Meta(description="who signed it, in hex; or a list")] = None
    version: Annotated[str | None, Meta(description="its version")] = None


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a verifier expects of a token. Without a key, any value will do."""

    rim: Annotated[Hex | None, Meta(description="the Realm Initial Measurement, in hex; or a list: any of it")] = None
    rems: Annotated[dict[str, Hex], Meta(description="Realm Extensible Measurements by number, 1 to 4")] = {}
    rpv: Annotated[
        str | None, Meta(description="the Realm Personalization Value, in hex, zero-padded to 64 bytes")
    ] = None
    lifecycle: Annotated[
        list[str | int], Meta(description="lifecycle states by name or value; only `secured` unless given")
    ] = msgspec.field(default_factory=lambda: ["secured"])
    implementation_id: Annotated[Hex | None, Meta(description="the implementation ID, in hex; or a list")] = None
    instance_id: Annotated[Hex | None, Meta(description="the instance ID, in hex; or a list")] = None
    components: Annotated[list[Component], Meta(description="software components")] = []
    exact_components: Annotated[bool, Meta(description="there must be no other components than these")] = False

    def __post_init__(self) -> None:
        for number in self.rems:
            if number not in _REMS:
                raise ValueError(f"rems must be numbered 1 to 4, not {number:.20}")
        values: dict[str, Hex | None] = {"rim": self.rim, "rpv": self.rpv, "implementation_id": self.implementation_id}
        values |= {"instance_id": self.instance_id} | {f"rems.{number}": value for number, value in self.rems.items()}
        for index, item in enumerate(self.components):
            place = f"components[{index}]"
            values |= {f"{place}.measurement": item.measurement, f"{place}.signer_id": item.signer_id}
        for place, value in values.items():
            if value == []:
                raise ValueError(f"{place} must list at least one value, not none")
            try:
                any_of(value)
            except ValueError as error:
                raise ValueError(f"{place}: {error}") from None
        if self.rpv is not None and len(hex_bytes(self.rpv)) > _RPV_SIZE:
            raise ValueError(f"rpv must have at most {_RPV_SIZE} bytes")
        if not self.lifecycle:
            raise ValueError("lifecycle must list at least one value, not none")
        for state in self.lifecycle:
            if isinstance(state, str) and state not in LIFECYCLES.values():
                raise ValueError(f"lifecycle must be of {', '.join(LIFECYCLES.values())}, not {state!r:.40}")


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
        return fit(parse_json(text) if path.suffix == ".json" else parse_toml(text), Policy, "the policy")
    except SchemaError as error:
        raise PolicyError(f"policy {shown(path)}: {error}") from None
