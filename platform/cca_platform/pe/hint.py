"""What to tell a user whose code met an instruction that the CPU model lacks."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cca_platform.isa.features import feature_of
from cca_platform.models import MODELS
from cca_platform.native import block as w
from cca_platform.pe import recent

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["forget", "missing"]


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
        word, pc = pe.words[w.P_UNKNOWN], pe.words[w.P_UNKNOWN_PC]
        if word and (feature := feature_of(word)):
            having = [name for name, model in MODELS.items() if model.has(feature)]
            answer = f"use `cpu` {' or '.join(having)}" if having else "no CPU model has it"
            return f"the instruction {word:#010x} at {pc:#x} is of {feature}, which PE {pe.index} lacks: {answer}"
    return ""
