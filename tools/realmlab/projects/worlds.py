"""What the SDK has for each world: its linker script, and the files that are compiled into every payload."""

from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

__all__ = ["SDK", "WORLDS", "SdkWorld", "World"]

World = Literal["realm", "ns", "secure"]

SDK: Final = Path(__file__).resolve().parents[1] / "sdk"
"""The folder of the SDK, the same in a source tree and in a wheel."""


class SdkWorld(Struct, frozen=True):
    """One world of the SDK; every path is relative to :data:`SDK`.

    ``base`` is linked into every payload, in this order; ``library`` is what a payload may use besides. ``own`` are the
    files that a new project gets as its own copy. With ``at_entry`` the board decides where it is loaded: NS_BASE.
    """

    script: str
    folder: str
    base: tuple[str, ...]
    library: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    at_entry: bool = False

    @property
    def includes(self) -> tuple[str, ...]:
        """The folders of headers."""
        return "include", self.folder

    @property
    def sources(self) -> tuple[str, ...]:
        """Everything that a project compiles; the linker drops what is not used."""
        return *self.base, *self.library

    def link_flags(self, board: str) -> tuple[str, ...]:
        """The linker's flags for a board."""
        from cca_platform.board import Board

        return (f"--defsym=NS_BASE={Board.load(board).ns_entry:#x}",) if self.at_entry else ()


WORLDS: Final[dict[World, SdkWorld]] = {
    "realm": SdkWorld(
        "realm/realm.ld",
        "realm",
        (
            "realm/start.S", "common/smc.S", "realm/hypercall.S", "realm/trap.c", "realm/mmu.c", "realm/rsi.c",
            "realm/console.c", "realm/fdt.c", "common/string.c", "realm/cpu.c", "common/sha256.c", "realm/check.c",
            "common/explain.c",
        ),
        ("realm/gic.c", "realm/share.c", "realm/token.c"),
        ("realm/start.S", "realm/realm.ld"),
    ),
    "ns": SdkWorld(
        "ns/ns.ld",
        "ns",
        (
            "ns/start.S", "common/smc.S", "common/string.c", "common/print.c", "ns/console.c", "common/explain.c",
            "common/exception.c",
        ),
        ("ns/vectors.S", "ns/call.S", "ns/check.c", "ns/mmu.c", "ns/pe.c", "ns/gic.c", "ns/timer.c"),
        ("ns/start.S", "ns/vectors.S", "ns/ns.ld"),
        at_entry=True,
    ),
    "secure": SdkWorld(
        "secure/secure.ld",
        "secure",
        ("common/smc.S", "common/string.c", "common/print.c", "common/sha256.c"),
        ("secure/mmu.c", "secure/start.S", "secure/default.c", "common/explain.c", "common/exception.c"),
        ("secure/start.S", "secure/secure.ld"),
    ),
}  # fmt: skip
"""The worlds of the SDK by the name that ``realmlab new`` takes."""
