"""The lines of the report "coverage by condition"."""

import json
from pathlib import Path

from conformance_registry import EXEMPT

__all__ = ["lines"]

SPEC = json.loads((Path(__file__).parents[1] / "rmm" / "vectors" / "rmm10.json").read_text())


def lines(seen: dict[str, set[str]]) -> list[str]:
    """What was provoked alone by interface, the pairs, and what is exempt and why."""
    result = []
    for interface, table in (("rmi", "commands"), ("rsi", "rsi")):
        wanted = {f"{name}.{id}" for name, row in SPEC[table].items() for id, _ in row["failures"]}
        exempt = {f"{name}.{id}": reason for (name, id), reason in EXEMPT.items()}
        have = seen.get(interface, set())
        if have:
            result.append(f"{interface.upper()}: {len(have)}/{len(wanted - exempt.keys())} conditions provoked alone")
            result += [f"  missing: {name}" for name in sorted(wanted - have - exempt.keys())]
            result += [f"  exempt: {name}: {exempt[name]}" for name in sorted(wanted & exempt.keys())]
    if seen.get("psci"):
        result.append(f"PSCI: {len(seen['psci'])} conditions provoked alone")
    pairs, exclusive = len(seen.get("pairs", ())), len(seen.get("exclusive", ()))
    if pairs:
        result.append(f"order: {pairs} pairs of conditions at once; {exclusive} pairs exclude each other")
    return result
