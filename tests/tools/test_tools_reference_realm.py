"""What the reference says of a Realm is what a Realm finds, and the reference leaves out no structure and no word."""

import inspect
import re
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from types import ModuleType

import pytest
from case_code import DUMP, realm_dumps
from realm_code import load

import realmlab
from cca_arch.fields import Bits, Struct
from cca_arch.rmi import v1_0 as rmi
from cca_arch.rmi.v1_0 import RmiRipas, mpidr_of, rec_index
from cca_arch.rsi import v1_0 as rsi
from cca_arch.rsi.v1_0 import Rsi
from cca_arch.sysregs import Cpacr, Ec, Esr, Fsc
from cca_tools.reference import PAGES
from cca_tools.reference.structures import entries
from cca_tools.reference.words import anchor

PAGE = 0x8020_0000
ALIAS = PAGE | 1 << 32
PAGE_TOP = PAGE + 0x1000


def _cell(page: str, first: str, column: int) -> str:
    """A cell of the row of a table that begins with ``first``."""
    row = next(line for line in page.splitlines() if line.startswith(f"| {first} |"))
    return row.split(" | ")[column].strip("| ")


def _number(text: str) -> int:
    found = re.search(r"0x[0-9a-f]+", text)
    assert found is not None
    return int(found[0], 16)


class TestEntry:
    """The state of a vCPU at its start."""

    def test_registers(self) -> None:
        """Each register has the value that the page gives."""
        page = PAGES["realm.md"]()
        with realmlab.Machine() as machine, machine.realm("hello") as realm:
            regs = realm.vcpus[0].regs
            assert regs.x0 == _number(_cell(page, "device tree", 1))
            assert regs.pstate == _number(_cell(page, "PSTATE", 1))
            assert regs.sctlr_el1 == _number(_cell(page, "SCTLR_EL1", 1))
            names = re.findall(r"^\| ([A-Z0-9_, ]+) \| zero", page, re.MULTILINE)
            zero = [name.lower() for row in names for name in row.split(", ")]
            assert {"cpacr_el1", "vbar_el1", "tcr_el1", "cntv_ctl_el0"} <= set(zero)
            for name in zero:
                if not name.startswith("icc_"):
                    assert getattr(regs, name) == 0, name

    def test_interrupts_and_mpidr(self, tmp_path: Path) -> None:
        """The CPU interface lets nothing through, and MPIDR_EL1 is that of vCPU 0."""
        source = f"mrs x0, mpidr_el1; mrs x1, S3_0_C4_C6_0; mrs x2, S3_0_C12_C12_7; mov x10, x0; mov x11, x1; {DUMP}"
        dumped = realm_dumps(source, tmp_path).registers[0]
        assert dumped[10] == _number(_cell(PAGES["realm.md"](), "0", 2))
        assert (dumped[11], dumped[2]) == (0, 0)


class TestExceptions:
    """The vectors and syndromes of exceptions."""

    def test_abort(self, tmp_path: Path) -> None:
        """An access to a page with RIPAS EMPTY comes to the vector that the page says, with its class and fault."""
        page = PAGES["realm.md"]()
        dumped = realm_dumps(f"{load('x9', 0x1000_0000)}; ldr x10, [x9]", tmp_path).registers[0]
        esr, vector = Esr(dumped[20]), dumped[24]
        assert _cell(page, f"`{vector:#05x}`", 1) == "synchronous, from EL1 with SP_EL1: the usual one"
        assert _cell(page, f"`{int(esr.ec):#04x}`", 1) == "data abort"
        assert f"| `{dumped[20] & 0x3F:#04x}` | external abort |" in page


class TestMpidr:
    """The MPIDR of vCPU n."""

    def test_both_ways(self) -> None:
        """The two formulas of the page are those of the RMI."""
        code = dict(re.findall(r"^(mpidr|n) = (.+?);", PAGES["realm.md"](), re.MULTILINE))
        assert code.keys() == {"mpidr", "n"}
        for n in (*range(600), 4095, 4096, 65535):
            mpidr = eval(code["mpidr"], {"n": n})
            assert mpidr == mpidr_of(n)
            assert eval(code["n"], {"mpidr": mpidr}) == n == rec_index(mpidr)


class TestFloatingPoint:
    """FP and SIMD."""

    def test_turned_on(self, tmp_path: Path) -> None:
        """The lines of the page set CPACR_EL1.FPEN, and FP works; that it works without is on both pages."""
        page = PAGES["realm.md"]()
        assert f"EC `{int(Ec.FP_ASIMD):#04x}`" in page and "[does not trap it](not-modelled.md)" in page
        assert re.search(r"\| `CPACR_EL1` \| `FPEN` \|", PAGES["not-modelled.md"]())
        lines = next(block for block in re.findall(r"```asm\n(.*?)```", page, re.DOTALL)).strip().replace("\n", "; ")
        source = f"{lines}; fmov d0, #0x70; fmov x10, d0; mrs x11, cpacr_el1; {DUMP}"
        dumped = realm_dumps(source, tmp_path).registers[0]
        assert dumped[10:12] == [0x3FF << 52, Cpacr.make(fpen=0b11)]
        assert realm_dumps("fmov d0, #0x70", tmp_path).registers == []


class TestSharedAlias:
    """Sharing a page, by the steps of the page."""

    def test_share(self, tmp_path: Path) -> None:
        """The alias is memory that is zero, the protected side aborts, and comes back zero."""

        def change(ripas: int) -> str:
            values = (Rsi.IPA_STATE_SET, PAGE, PAGE_TOP, ripas, 0)
            return "; ".join((*(load(f"x{at}", value) for at, value in enumerate(values)), "smc #0"))

        own, alias = load("x9", PAGE), load("x8", ALIAS)
        source = (
            f"{own}; {alias}; str x9, [x9]; {change(RmiRipas.EMPTY)}; mov x10, x0; mov x11, x1; mov x12, x2; "
            f"ldr x13, [x8]; str x8, [x8]; ldr x14, [x8]; {change(RmiRipas.RAM)}; mov x15, x0; ldr x16, [x9]; {DUMP} "
            f"{change(RmiRipas.EMPTY)}; ldr x16, [x9]"
        )
        dump = realm_dumps(source, tmp_path)
        first, second = dump.registers
        assert first[10:17] == [0, PAGE_TOP, 0, 0, ALIAS, 0, 0]
        assert (Esr(second[20]).ec, second[20] & 0x3F) == (Ec.DATA_ABORT_SAME, Fsc.EXTERNAL)
        assert PAGE | _number(_cell(PAGES["realm.md"](), "33", 1)) == ALIAS


def _declared(module: ModuleType) -> Iterator[object]:
    for name in module.__all__:
        value = getattr(module, name)
        kinds = inspect.isclass(value) and issubclass(value, Bits | IntEnum)
        if (kinds or isinstance(value, Struct)) and name not in ("Rmi", "Rsi"):
            yield value


class TestStructures:
    """The page of structures and values."""

    @pytest.mark.parametrize("module", [rmi, rsi], ids=["RMI", "RSI"])
    def test_complete(self, module: ModuleType) -> None:
        """It has each structure, word of bits and enumeration of the interface."""
        shown = {id(entry.declared) for entry in entries()}
        assert [one for one in _declared(module) if id(one) not in shown] == []

    def test_host_call(self) -> None:
        """A row has offset, size and meaning."""
        page = PAGES["structures.md"]()
        text = page[page.index("### RsiHostCall") : page.index("### RsiRealmConfig")]
        assert "0x100 bytes" in text
        assert "| `0x8` | 31 x 8 | `gprs[31]` | 31 words for the Host" in text


class TestWords:
    """The index of words."""

    @pytest.mark.parametrize(
        "word",
        [
            "RsiHostCall", "RsiRealmConfig", "RmiRecRun", "RIPAS", "HIPAS", "PAS", "RSI_EMPTY", "RSI_ERROR_INPUT",
            "RMI_ERROR_RTT", "PSCI_ALREADY_ON", "RMI_EXIT_HOST_CALL", "MPIDR of vCPU n", "MPIDR_EL1", "shared bit",
            "ipa_width", "RSI_IPA_STATE_SET", "unprotected half", "CPACR_EL1", "FP", "NEON", "X0 at entry", "INTID",
            "PSTATE at entry", "SCTLR_EL1 at entry", "GICR_ISENABLER0", "virtual timer", "0x524C", "exit.gprs", "imm",
        ],
    )  # fmt: skip
    def test_found(self, word: str) -> None:
        """A reader finds the word, or one that it is part of, and the link leads to a heading."""
        wanted = word.rpartition(".")[2]
        row = next(
            line for line in PAGES["words.md"]().splitlines() if line.startswith((f"| {wanted} |", f"| `{wanted}` |"))
        )
        for page, place in re.findall(r"\]\((\S+?)#(\S+?)\)", row):
            assert place in map(anchor, re.findall(r"^#+ (.+)$", PAGES[page](), re.MULTILINE))
