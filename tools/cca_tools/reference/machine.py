"""The pages of the machine: trace events, CPU models, and what is not modelled."""

import inspect

from cca_platform.models import COMMON, HIDDEN, MODELS, Feature
from cca_platform.trace.events import EVENTS, SCHEMA
from cca_platform.trace.forms import FieldType, fields_of
from cca_platform.unmodelled import ELSEWHERE, UNMODELLED
from cca_tools.reference.text import NOTE, table

__all__ = ["cpu", "not_modelled", "trace"]


def trace() -> str:
    """The trace events."""
    parts = [
        f"{NOTE}\n# Trace events\n\n"
        "Each line of a trace file is a JSON object: `seq` (from 0), `time` (ticks of the system counter), `pe`, "
        "`world` (`ns`, `secure`, `root`, `realm`), `el`, `event`, then the fields of the event. Addresses, words and "
        "FIDs are strings `0x...`, bytes are hexadecimal digits; names are those of the specifications. "
        "`pe`, `world` and `el` are null if the event belongs to no PE. Optional fields are absent where they do not "
        f"apply. This is version {SCHEMA} of the catalogue.\n\n"
        "A trace file is complete when a call of the API returns or a run pauses, in callbacks of hooks and consoles, "
        "while the machine waits, and when the process ends by itself, by Ctrl-C, by SIGTERM, by an exception or by a "
        "failing engine. In between, at most some hundred events wait, for at most 20 ms and 4 million instructions; "
        "SIGKILL loses them. Lines are always whole.\n"
    ]
    for name, event in EVENTS.items():
        rows = ((f"`{field.name}`", _kind(field), field.meaning) for field in fields_of(event))
        parts.append(f"\n## {name}\n\n{inspect.getdoc(event)}\n\n{table(('Field', 'Kind', 'Meaning'), rows)}")
    return "".join(parts)


def _kind(field: FieldType) -> str:
    """The kind of a field, and whether it is optional or can be null."""
    return field.form.name + " or null" * field.nullable + " (optional)" * field.optional


def cpu() -> str:
    """The page of the CPU models."""
    head = ("Feature", "ID register", "Fields", "By", "What it is")
    parts = [
        f"{NOTE}\n# CPU models\n\n`--cpu NAME` of `realmlab run`, `cpu=` of the API. Every PE of a machine is of one "
        "model. What an ID register reads as follows from these tables: all else is zero.\n\n",
        table(("Model", "What it is"), ((f"`{one.name}`", one.about) for one in MODELS.values())),
        "\n*By* is who implements a feature: the engine, this machine, or *soft*: the machine keeps the registers and "
        "PSTATE bits of something that the engine does not know.\n",
        "\n## Every model\n\n" + table(head, map(_feature, COMMON)),
    ]
    parts += [
        f"\n## {one.name}\n\n" + table(head, map(_feature, one.features)) for one in MODELS.values() if one.features
    ]
    hidden = ((one.name, f"`{one.register.upper()}.{one.field}`", one.reason) for one in HIDDEN)
    parts.append("\n## Not shown\n\nWhat the engine could do, and no model has.\n\n")
    parts.append(table(("Feature", "Field", "Reason"), hidden))
    return "".join(parts)


def not_modelled() -> str:
    """The page of what is not modelled."""
    bits = (
        (f"`{gap.register}`", ", ".join(f"`{name.upper()}`" for name in gap.fields), gap.missing, gap.why)
        for gap in UNMODELLED
    )
    return "".join(
        (
            f"{NOTE}\n# Not modelled\n\nCode that relies on a fault may wait for it in vain. These fields of control "
            "registers read as they were written and do nothing; every other field works, or reads as zero.\n\n",
            table(("Register", "Field", "What is missing", "Why"), bits),
            "\n## Besides\n\nWhat is different, and no field of a register asks for it.\n\n",
            table(("Where", "What", "Why"), ELSEWHERE),
        )
    )


def _feature(one: Feature) -> tuple[str, ...]:
    fields = ", ".join(f"{name} = {value:#x}" for name, value in one.fields.items())
    return one.name, f"`{one.register.upper()}`", fields, one.source.value, one.about
