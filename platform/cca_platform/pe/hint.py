"""What to tell a user whose code met an instruction that the CPU model lacks."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from cca_platform.isa.features import feature_of
from cca_platform.models import MODELS
from cca_platform.native import block as w
from cca_platform.pe import recent

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["LACK", "forget", "lack", "missing"]

LACK: Final = "the instruction {word:#010x} at {pc:#x} is of {feature}, which PE {index} lacks"
"""What is told of such an instruction."""


def forget(pes: "Iterable[Pe]") -> None:
    """Begin anew, for the code of another run."""
    for pe in pes:
        pe.words[w.P_UNKNOWN] = pe.words[w.P_UNKNOWN_PC] = 0
        recent.forget(pe)


def missing(pes: "Iterable[Pe]") -> str:
    """What the code on one of these PEs missed last: an instruction, its feature, and the CPU model that has it; or "".

    An operating system that emulates or probes goes on after such an instruction. So this explains nothing by itself.
    """
    for pe in pes:
        found = lack(pe, pe.words[w.P_UNKNOWN], pe.words[w.P_UNKNOWN_PC])
        if found is not None:
            return f"{LACK.format_map(found)}: {found['answer']}"
    return ""


def lack(pe: "Pe", word: int, pc: int) -> dict[str, Any] | None:
    """What this PE lacks for an instruction: the values of ``LACK``, and ``answer``, what helps.

    None if its CPU model has it, or nothing is known of the instruction.
    """
    feature = feature_of(word) if word else None
    if feature is None or pe.machine.model.has(feature):
        return None
    having = [name for name, model in MODELS.items() if model.has(feature)]
    answer = f"use `cpu` {' or '.join(having)}" if having else "no CPU model has it"
    return {"word": word, "pc": pc, "feature": feature, "index": pe.index, "answer": answer}
