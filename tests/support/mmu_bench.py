"""A PE block over real memory for tests of the MMU, with page tables and granule protection tables built by hand."""

import numpy as np

from cca_arch.types import Access, Gpi, SecurityState
from cca_platform.board import Board
from cca_platform.memory.memory import Memory
from cca_platform.mmu.regime import regime_of
from cca_platform.mmu.translate import OK, REFUSED, translate
from cca_platform.native import block as w

READ, WRITE, FETCH = Access.READ, Access.WRITE, Access.FETCH
VA = 0x0055_4433_2000
DATA = 0x9000_0000
L0GPT, L1GPT = 0xFFC0_0000, 0xFFC2_0000
AF, DBM, READ_ONLY, USER, NS = 1 << 10, 1 << 51, 1 << 7, 1 << 6, 1 << 5
PXN, UXN, NSTABLE = 1 << 53, 1 << 54, 1 << 63
HA, HD = 1 << 39, 1 << 40
VM, PTW, DC, TGE, FWB = 1, 1 << 2, 1 << 12, 1 << 27, 1 << 46
S2_RW, S2_NS, S2_WB = 3 << 6, 1 << 55, 6 << 2
NOWHERE = 0x6000_0000  # neither DRAM nor a table


def signed(value: int) -> int:
    """The same 64 bits as a signed number."""
    return value - (1 << 64) if value >> 63 else value


class Bench:
    """A PE block over real memory, and page tables built by hand in it."""

    def __init__(self) -> None:
        self.memory = Memory(Board.load("fvp"))
        self.store = self.memory.backdoor
        self.tlb_pages = np.zeros(self.memory.pages, np.uint8)
        self.pe = np.zeros(w.P_WORDS, np.int64)
        self.p = int(self.pe.ctypes.data)
        self.m = self.memory.block_address
        self.next = 0xA000_0000
        self.entries: dict[int, int] = {}
        self.root1, self.root2 = self.table(), self.table()
        self.set(
            MACHINE=self.m,
            SECURITY=SecurityState.NON_SECURE,
            EL=1,
            TLB_ERA=7,
            TLB_PAGES=int(self.tlb_pages.ctypes.data),
        )
        self.set(SCTLR=1, TCR=16 | 16 << 16 | 2 << 30 | 5 << 32, TTBR0=self.root1, TTBR1=self.root1, MAIR=0x00FF)

    def set(self, **words: int) -> None:
        """Write words of the PE block by their names without P_."""
        if "EL" in words:
            words["REGIME"] = regime_of(words["EL"])
        for name, value in words.items():
            self.pe[getattr(w, f"P_{name}")] = signed(value)

    def get(self, name: str) -> int:
        """A word of the PE block by its name without P_."""
        return int(self.pe[getattr(w, f"P_{name}")])

    def table(self) -> int:
        """A zeroed page for a table."""
        self.next += 0x1000
        return self.next - 0x1000

    def map(self, root: int, address: int, leaf: int, level: int = 3, start: int = 0, tables: int = 0) -> int:
        """Make tables from ``root`` (``start`` level) to ``level`` and put ``leaf`` there; gives the leaf's address."""
        table = root
        for at in range(start, level + 1):
            shift = 39 - 9 * at
            entry = table + 8 * (address >> shift & (0x1FFF if at == start else 511))
            if at == level:
                self.store.write64(entry, leaf & (1 << 64) - 1)
                return entry
            if not self.store.read64(entry) & 1:
                self.store.write64(entry, self.table() | tables | 3)
            table = self.store.read64(entry) & 0xFFFF_FFFF_F000
        raise AssertionError("level must not lie above start")

    def page(self, va: int = VA, attributes: int = AF, level: int = 3, output: int = DATA, tables: int = 0) -> int:
        """Map ``va`` by stage 1; gives the leaf's address."""
        output = output >> (39 - 9 * level) << (39 - 9 * level)
        return self.map(
            self.root1, va & 0xFFFF_FFFF_FFFF, output | attributes | (3 if level == 3 else 1), level, 0, tables
        )

    def stage2(self, realm: bool = True, hcr: int = VM | FWB) -> None:
        """Turn stage 2 on (40 bits from level 1, two tables), with the tables of stage 1 mapped flat."""
        self.next = (self.next + 0x1FFF) & ~0x1FFF
        self.root2 = self.table()
        self.table()
        self.set(SECURITY=SecurityState.REALM if realm else SecurityState.NON_SECURE, HCR=hcr)
        self.set(VTCR=24 | 1 << 6 | 5 << 16, VTTBR=self.root2)
        self.ipa(0xA000_0000, 0xA000_0000, level=2)

    def ipa(self, ipa: int, pa: int, attributes: int = AF | S2_RW | S2_WB, level: int = 3) -> int:
        """Map ``ipa`` by stage 2; gives the leaf's address."""
        return self.map(self.root2, ipa, pa | attributes | (3 if level == 3 else 1), level, 1)

    def gpt(self, gpi: int = Gpi.NON_SECURE) -> None:
        """Turn the GPC on (36 bits): the second GiB of DRAM granule by granule, everything else open to any PAS."""
        for index in range(64):
            self.store.write64(L0GPT + 8 * index, Gpi.ANY << 4 | 1)
        self.store.write64(L0GPT + 8 * 2, L1GPT | 3)
        word = int(f"{gpi:x}" * 16, 16)
        self.store.write(L1GPT, word.to_bytes(8, "little") * (1 << 14))
        self.memory.gptbr = L0GPT >> 12
        self.memory.gpccr = 1 << 16 | 1

    def assign(self, pa: int, gpi: int) -> None:
        """Set the GPI of one granule of the second GiB."""
        at = L1GPT + 8 * ((pa & 0x3FFF_FFFF) >> 16)
        shift = 4 * (pa >> 12 & 15)
        self.store.write64(at, self.store.read64(at) & ~(15 << shift) | gpi << shift)

    def translate(self, access: int = READ, va: int = VA, el: int | None = None) -> int:
        """Translate, at ``el`` when given."""
        if el is not None:
            self.set(EL=el)
        return translate(self.p, signed(va), access)

    def refusal(self, access: int = READ, va: int = VA, el: int | None = None) -> tuple[int, int, int]:
        """(FSC, stage, S1PTW) of an access that must be refused."""
        assert self.translate(access, va, el) == REFUSED
        return self.get("FAULT_FSC"), self.get("FAULT_STAGE"), self.get("FAULT_S1PTW")

    def permits(self, va: int = VA) -> dict[int, str]:
        """What EL1 and EL0 may do: {1: "rw", 0: ""}."""
        found = {}
        for el in (1, 0):
            letters = zip("rwx", (READ, WRITE, FETCH), strict=True)
            found[el] = "".join(letter for letter, access in letters if self.translate(access, va, el) == OK)
        return found
