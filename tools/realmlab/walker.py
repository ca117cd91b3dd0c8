"""Translations as code would see them, made after the fact: nothing of the machine changes."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from cca_arch.sysregs import FSC_LEVEL, Sctlr, Tcr, TcrEl2
from cca_arch.types import Access, Pas
from cca_platform.memory.words import address_of
from cca_platform.memory.words import words as own_words
from cca_platform.mmu.regime import EL2, EL10
from cca_platform.mmu.translate import DEVICE, REFUSED, translate
from cca_platform.native import block as w

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["Found", "Walker"]

_U64: Final = (1 << 64) - 1
_HARDWARE: Final = Tcr.ha.mask | Tcr.hd.mask  # would write descriptors
_HARDWARE_EL2: Final = TcrEl2.ha.mask | TcrEl2.hd.mask
_CONTROLS: Final = (w.P_HCR, w.P_VTCR, w.P_VTTBR, w.P_FEATURES, w.P_MACHINE)


class Found(Struct, frozen=True):
    """A translation: where it leads, or why it does not.

    ``stage`` is the one that refuses, 0 for none; ``fault`` and ``level`` are its fault status code. ``ipa`` is where
    stage 1 leads, None if it refuses. ``device`` says that stage 1 makes it Device memory by a descriptor;
    ``outside`` that the result is no DRAM.
    """

    stage: int
    fault: int
    level: int
    walk: bool
    ipa: int | None
    pa: int | None
    pas: Pas | None
    device: bool
    outside: bool
    gpf: bool


class Walker:
    """The translation regime of an exception level, by the values of its registers; ``read`` gives them by name."""

    def __init__(self, pe: "Pe", security: int, el: int, read: Callable[[str], int]) -> None:
        self._pe = pe
        block = self._block = own_words(w.P_WORDS)
        self._address = address_of(block)
        for word in _CONTROLS:
            block[word] = pe.block[word]
        words = self._words = memoryview(block).cast("B").cast("Q")
        regime = EL2 if el == 2 else EL10
        own = "el2" if el == 2 else "el1"
        words[w.P_SECURITY], words[w.P_EL], words[w.P_REGIME] = security, el, regime
        for word, name in (
            (w.P_SCTLR, f"sctlr_{own}"), (w.P_TCR, f"tcr_{own}"), (w.P_TTBR0, f"ttbr0_{own}"),
            (w.P_MAIR, f"mair_{own}"),
        ):  # fmt: skip
            words[word] = read(name) & _U64
        words[w.P_TCR] &= ~(_HARDWARE_EL2 if el == 2 else _HARDWARE)
        words[w.P_TTBR1] = read("ttbr1_el1") & _U64 if el < 2 else 0
        self.on = bool(words[w.P_SCTLR] & Sctlr.m.mask)
        """True if stage 1 is on."""

    def translate(self, va: int, access: Access = Access.READ) -> Found:
        """Translate an address for an access."""
        words = self._words
        for word in (w.P_FAULT_STAGE, w.P_FAULT_GPF, w.P_FAULT_FSC, w.P_FAULT_S1PTW):
            words[word] = 0
        result = translate(self._address, (va & _U64) - ((va >> 63 & 1) << 64), int(access))
        device = words[w.P_OUT_DEVICE] == 2
        if result != REFUSED:
            space = Pas(words[w.P_OUT_PAS])
            return Found(
                0, 0, 0, False, words[w.P_OUT_IPA], words[w.P_OUT_PA], space, device, result == DEVICE, False
            )  # fmt: skip
        stage, fsc = words[w.P_FAULT_STAGE], words[w.P_FAULT_FSC]
        gpf = bool(words[w.P_FAULT_GPF])
        walk = bool(words[w.P_FAULT_S1PTW])
        second = stage == 2 or (gpf and not walk)
        ipa = None
        if second and not walk:
            ipa = (words[w.P_OUT_IPA] if gpf else words[w.P_FAULT_IPA]) & ~0xFFF | va & 0xFFF
        pa, pas = (words[w.P_FAULT_PA], Pas(words[w.P_FAULT_PAS] & 3)) if gpf else (None, None)
        return Found(stage, fsc & ~FSC_LEVEL, fsc & FSC_LEVEL, walk, ipa, pa, pas, device, False, gpf)
