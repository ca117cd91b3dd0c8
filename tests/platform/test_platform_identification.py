"""ID registers: what each field claims works, and what none claims is undefined."""

import ctypes
from dataclasses import replace
from typing import Any

import pytest

from cca_arch.types import SecurityState
from cca_platform.board import Board

CODE, VECTORS, DATA = 0x8010_0000, 0x8011_0000, 0x8012_0000
IL = 1 << 25
_REGISTERS = {
    "pfr0": (4, 0), "pfr1": (4, 1), "dfr0": (5, 0), "isar0": (6, 0), "isar1": (6, 1),
    "mmfr0": (7, 0), "mmfr1": (7, 1), "mmfr2": (7, 2),
}  # fmt: skip
# fields of the a72 model and of the max model by name: register, low bit, values
_FIELDS = [
    ("EL0", "pfr0", 0, 1, 1), ("EL1", "pfr0", 4, 1, 1), ("EL2", "pfr0", 8, 1, 1), ("EL3", "pfr0", 12, 1, 1),
    ("FP", "pfr0", 16, 0, 1), ("AdvSIMD", "pfr0", 20, 0, 1), ("GIC", "pfr0", 24, 1, 1), ("RAS", "pfr0", 28, 0, 0),
    ("SVE", "pfr0", 32, 0, 0), ("SEL2", "pfr0", 36, 0, 0), ("MPAM", "pfr0", 40, 0, 0), ("AMU", "pfr0", 44, 0, 0),
    ("DIT", "pfr0", 48, 0, 1), ("RME", "pfr0", 52, 1, 1), ("CSV2", "pfr0", 56, 1, 1), ("CSV3", "pfr0", 60, 1, 1),
    ("BT", "pfr1", 0, 0, 0), ("SSBS", "pfr1", 4, 0, 2), ("MTE", "pfr1", 8, 0, 0), ("SME", "pfr1", 24, 0, 0),
    ("DebugVer", "dfr0", 0, 6, 6), ("TraceVer", "dfr0", 4, 0, 0), ("PMUVer", "dfr0", 8, 6, 6),
    ("BRPs", "dfr0", 12, 5, 5), ("PMSVer", "dfr0", 32, 0, 0),
    ("AES", "isar0", 4, 2, 2), ("SHA1", "isar0", 8, 1, 1), ("SHA2", "isar0", 12, 1, 2), ("CRC32", "isar0", 16, 1, 1),
    ("Atomic", "isar0", 20, 0, 2), ("TLB", "isar0", 56, 0, 0), ("RNDR", "isar0", 60, 0, 0),
    ("APA", "isar1", 4, 0, 1), ("API", "isar1", 8, 0, 0), ("GPA", "isar1", 24, 0, 1), ("GPI", "isar1", 28, 0, 0),
    ("PARange", "mmfr0", 0, 5, 5), ("ASIDBits", "mmfr0", 4, 2, 2), ("BigEnd", "mmfr0", 8, 0, 0),
    ("BigEndEL0", "mmfr0", 16, 0, 0), ("TGran16", "mmfr0", 20, 0, 0), ("TGran64", "mmfr0", 24, 0xF, 0xF),
    ("TGran4", "mmfr0", 28, 0, 0), ("FGT", "mmfr0", 56, 0, 0), ("ECV", "mmfr0", 60, 0, 0),
    ("HAFDBS", "mmfr1", 0, 2, 2), ("VMIDBits", "mmfr1", 4, 2, 2), ("VH", "mmfr1", 8, 0, 0),
    ("HPDS", "mmfr1", 12, 1, 1), ("LO", "mmfr1", 16, 0, 1), ("PAN", "mmfr1", 20, 0, 2), ("XNX", "mmfr1", 28, 1, 1),
    ("CnP", "mmfr2", 0, 1, 1), ("UAO", "mmfr2", 4, 0, 1), ("VARange", "mmfr2", 16, 0, 0), ("NV", "mmfr2", 24, 0, 0),
    ("ST", "mmfr2", 28, 0, 0), ("FWB", "mmfr2", 40, 1, 1), ("TTL", "mmfr2", 48, 1, 1), ("BBM", "mmfr2", 52, 0, 0),
    ("E0PD", "mmfr2", 60, 1, 1),
]  # fmt: skip


class TestFields:
    """Each field, at EL2 and at EL1, in both models and by the PE itself."""

    @pytest.mark.parametrize(("place", "cpu"), [(0, "a72"), (1, "max")])
    @pytest.mark.parametrize("el", [1, 2])
    def test_fields(self, benches: Any, place: int, cpu: str, el: int) -> None:
        """The fields that somebody may look for."""
        bench = benches(cpu=cpu)
        source = "; ".join(f"mrs x{n}, s3_0_c0_c{crm}_{op2}" for n, (crm, op2) in enumerate(_REGISTERS.values()))
        values = dict(zip(_REGISTERS, bench.run(f"{source}; smc #0", el=el), strict=False))
        for name, register, low, *expected in _FIELDS:
            assert values[register] >> low & 0xF == expected[place], name
        for name, (crm, op2) in _REGISTERS.items():
            assert bench.pe.id_register(3, 0, 0, crm, op2) == values[name]

    def test_no_aarch32(self, bench: Any) -> None:
        """No level has AArch32, and so its ID registers read as zero."""
        encodings = [(crm, op2) for crm in (1, 2, 3) for op2 in range(8)]
        for part in (encodings[:12], encodings[12:]):
            source = "; ".join(f"mrs x{n}, s3_0_c0_c{crm}_{op2}" for n, (crm, op2) in enumerate(part))
            x = bench.run(f"{source}; smc #0", **{f"x{n}": 1 for n in range(12)})
            assert x[:12] == [0] * 12

    def test_el0(self, bench: Any) -> None:
        """EL0 reads none of them."""
        bench.vectors()
        assert bench.run("mrs x1, id_aa64pfr0_el1", el=0)[20] == IL

    @pytest.mark.parametrize(("bits", "field"), [(48, 5), (40, 2), (36, 1)])
    def test_pa_range(self, benches: Any, monkeypatch: pytest.MonkeyPatch, bits: int, field: int) -> None:
        """PARange is the board's, and an address beyond it does not fit: address size fault, level 0."""
        board = replace(Board.load("fvp"), pa_bits=bits, pps_bits=36)
        monkeypatch.setattr(Board, "load", lambda name: board)
        bench = benches()
        bench.vectors("mrs x20, esr_el1; mrs x21, far_el1; smc #0")
        source = "mrs x2, id_aa64mmfr0_el1; mov x1, #1; lsl x1, x1, x3; ldr x4, [x1]; smc #0"
        x = bench.run(source, x3=bits)
        assert x[2] & 0xF == field
        assert x[20:22] == [0x25 << 26 | IL, 1 << bits]


class TestWho:
    """MIDR_EL1 and MPIDR_EL1."""

    @pytest.mark.parametrize("el", [1, 2])
    @pytest.mark.parametrize("index", [0, 3, 4])
    def test_board(self, bench: Any, index: int, el: int) -> None:
        """MPIDR has the affinity of the board's row and the MT bit; MIDR is Arm's architecture model."""
        bench.pe = bench.machine.pes[index]
        x = bench.run("mrs x1, mpidr_el1; mrs x2, midr_el1; mrs x3, revidr_el1; smc #0", el=el)
        assert x[1:4] == [bench.machine.board.pes[index], 0x410F_D0F0, 0]
        assert x[1] >> 24 & 1

    def test_virtual(self, bench: Any) -> None:
        """EL1 reads what EL2 put in VPIDR_EL2 and VMPIDR_EL2; EL2 reads its own."""
        source = "msr vpidr_el2, x4; msr vmpidr_el2, x5; mrs x6, midr_el1; mrs x7, mpidr_el1; adr x8, lower"
        source += "; msr elr_el2, x8; msr spsr_el2, x9; eret; lower: mrs x1, mpidr_el1; mrs x2, midr_el1; smc #0"
        x = bench.run(source, el=2, x4=0x1234, x5=0x8000_0007, x9=0x3C5)
        assert x[1:3] == [0x8000_0007, 0x1234]
        assert x[6:8] == [0x410F_D0F0, 0x8100_0000]

    def test_of_a_realm(self, bench: Any) -> None:
        """A Realm reads its own MPIDR and the PE's MIDR, whatever EL2 code of another world left there."""
        bench.run("msr vpidr_el2, x4; msr vmpidr_el2, x4; smc #0", el=2, x4=0x55)
        frame = bytearray(0x1000)
        address = ctypes.addressof(ctypes.c_char.from_buffer(frame))
        bench.pe.save_el2(address)
        bench.pe.restore_el2(address)
        bench.pe.set_el2(1 << 31, 0, 0, 0x8000_0101)
        x = bench.run("mrs x1, mpidr_el1; mrs x2, midr_el1; smc #0", SecurityState.REALM)
        assert x[1:3] == [0x8000_0101, 0x410F_D0F0]


class TestCaches:
    """CTR_EL0, DCZID_EL0, CLIDR_EL1 and CCSIDR_EL1 tell the same story."""

    def test_lines(self, bench: Any) -> None:
        """64-byte lines everywhere; DC ZVA zeroes 64 bytes; the levels of CLIDR have their CCSIDR."""
        source = "mrs x1, ctr_el0; mrs x2, dczid_el0; mrs x3, clidr_el1; "
        for n, select in enumerate((0, 1, 2)):
            source += f"mov x0, #{select}; msr csselr_el1, x0; isb; mrs x{4 + n}, ccsidr_el1; "
        x = bench.run(f"{source} smc #0")
        assert (x[1] & 0xF, x[1] >> 16 & 0xF) == (4, 4)  # log2 of words
        assert x[2] == 4
        assert (x[3] & 7, x[3] >> 3 & 7, x[3] >> 6 & 0x1FFFFF & 7) == (3, 4, 0)  # separate, unified, none
        assert x[3] >> 24 & 7 == 2
        for ccsidr in x[4:7]:
            assert ccsidr & 7 == 2  # log2 of 16-byte units less 4: 64 bytes

    def test_zero(self, bench: Any) -> None:
        """DC ZVA does what DCZID_EL0 says."""
        bench.write(DATA, b"\xff" * 256)
        bench.run("add x0, x0, #72; dc zva, x0; smc #0", x0=DATA)
        assert bench.machine.memory.backdoor.read(DATA, 256) == b"\xff" * 64 + bytes(64) + b"\xff" * 128


_CLAIMED = {
    "PMU": "mrs x1, pmcr_el0; msr pmcr_el0, x1; mrs x1, pmccntr_el0; msr pmuserenr_el0, xzr; mrs x1, s3_0_c9_c14_6",
    "AES": ".word 0x4e284820; .word 0x0ee2e020",  # AESE, PMULL of 64 bits
    "SHA1": ".word 0x5e280820",
    "SHA2": ".word 0x5e282820",
    "CRC32": ".word 0x1ac24020; .word 0x9ac35c20",
    "GIC": "mrs x1, s3_0_c12_c12_5; mrs x1, s3_0_c4_c6_0",
    "BRPs": "msr dbgbvr5_el1, x0; msr dbgbcr5_el1, xzr",
    "CnP": "mov x1, #1; mrs x2, ttbr0_el1; orr x1, x1, x2; msr ttbr0_el1, x1",
}
_UNCLAIMED = {
    "SVE": [".word 0x04e00000", "mrs x1, s3_0_c1_c2_0"],
    "SME": ["mrs x1, s3_3_c4_c2_2"],
    "MTE": [".word 0xd9200800", "mrs x1, s3_0_c1_c0_5", "mrs x1, s3_3_c4_c2_7", "mrs x1, s3_1_c0_c0_4"],
    "RAS": ["mrs x1, s3_0_c5_c3_0", "mrs x1, s3_0_c12_c1_1"],
    "MPAM": ["mrs x1, s3_0_c10_c5_1"],
    "AMU": ["mrs x1, s3_3_c13_c2_0"],
    "TLB": [".word 0xd508811f", ".word 0xd5088621"],  # outer shareable, by range
    "PMSVer": ["mrs x1, s3_0_c9_c9_0"],
    "TraceVer": ["mrs x1, s2_1_c0_c8_7"],
    "LS64": [".word 0xf83f9000"],
    "MOPS": [".word 0x19000400"],
    "WFxT": [".word 0xd5031000"],
    "I8MM": [".word 0x4e80a400"],
    "BF16": [".word 0x1e634000"],
}
_UNCLAIMED_A72 = {
    "Atomic": [".word 0xf8200020"],
    "LRCPC": [".word 0x38bfc000"],
    "PAN": [".word 0xd500419f", "mrs x1, s3_0_c4_c2_3"],
    "UAO": ["mrs x1, s3_0_c4_c2_4"],
    "DIT": ["mrs x1, s3_3_c4_c2_5", ".word 0xd503415f", "msr s3_3_c4_c2_5, x1"],
    "SSBS": ["mrs x1, s3_3_c4_c2_6", ".word 0xd503413f", "msr s3_3_c4_c2_6, x1"],
    "RNDR": ["mrs x1, s3_3_c2_c4_0"],
    "LO": ["mrs x1, s3_0_c10_c4_7"],
    "VH": ["mrs x1, s3_4_c2_c0_1", "mrs x1, s3_5_c1_c0_0"],
    "APA": ["mrs x1, s3_0_c2_c1_0", ".word 0xdac10020"],
    "FP16": [".word 0x1ee02800"],
    "DP": [".word 0x0e809400"],
    "SB": [".word 0xd50330ff"],
    "TS": [".word 0xd500401f"],
    "DPB": [".word 0xd50b7c20"],
}


class TestClaims:
    """What a field claims can be used, at EL1 and EL2."""

    @pytest.mark.parametrize("name", _CLAIMED)
    @pytest.mark.parametrize("el", [1, 2])
    def test_claimed(self, bench: Any, name: str, el: int) -> None:
        """No exception."""
        bench.vectors()
        bench.run(f"mov x20, #0; {_CLAIMED[name]}; smc #0", el=el, x0=DATA)
        assert bench.pe.x[20] == 0

    @pytest.mark.parametrize("name", _UNCLAIMED)
    @pytest.mark.parametrize("cpu", ["a72", "max"])
    def test_unclaimed(self, benches: Any, name: str, cpu: str) -> None:
        """Each instruction and register is undefined, at EL1 and at EL2."""
        self._undefined(benches(cpu=cpu), _UNCLAIMED[name])

    @pytest.mark.parametrize("name", _UNCLAIMED_A72)
    def test_unclaimed_by_one_model(self, benches: Any, name: str) -> None:
        """What is of Armv8.1 and later, where the CPU model does not have it."""
        self._undefined(benches(), _UNCLAIMED_A72[name])

    @staticmethod
    def _undefined(bench: Any, sources: list[str]) -> None:
        for el in (1, 2):
            for offset in range(0, 0x800, 0x80):
                bench.place(VECTORS + offset, f"mrs x20, esr_el{el}; smc #0")
            bench.pe.write_sysreg(f"vbar_el{el}", VECTORS)
            for source in sources:
                assert bench.run(f"mov x20, #0; {source}; smc #0", el=el, x0=DATA)[20] == IL, (source, el)

    def test_no_random_number(self, benches: Any) -> None:
        """A model that has RNDR anyway gives none: zero and Z, for a run must not depend on the host."""
        bench = benches(cpu="max")
        x = bench.run("mrs x1, s3_3_c2_c4_0; mrs x2, nzcv; mrs x3, s3_3_c2_c4_1; smc #0", x1=1, x3=1)
        assert x[1:4] == [0, 1 << 30, 0]

    def test_vmid(self, bench: Any) -> None:
        """VMIDBits = 16: VTTBR_EL2 keeps all of them."""
        x = bench.run("msr vttbr_el2, x1; mrs x2, vttbr_el2; smc #0", el=2, x1=0xABCD_0000_8040_0000)
        assert x[2] == x[1]


class TestRegisters:
    """What code reads of the machine it runs on."""

    def test_mpidr(self, bench: Any) -> None:
        """Each PE has the MPIDR of the board."""
        for index in (0, 3, 7):
            bench.pe = bench.machine.pes[index]
            assert bench.run("mrs x1, mpidr_el1; smc #0", el=2)[1] == bench.machine.board.pes[index]

    def test_features(self, bench: Any) -> None:
        """RME is there; the physical address size is the board's; PMUv3p5; no SVE, no LPA2."""
        x = bench.run("mrs x1, id_aa64pfr0_el1; mrs x2, id_aa64mmfr0_el1; mrs x3, id_aa64dfr0_el1; smc #0", el=2)
        assert x[1] >> 52 & 15 == 1
        assert x[1] >> 32 & 15 == 0
        assert x[2] & 15 == 5
        assert x[3] >> 8 & 15 == 6

    @pytest.mark.parametrize("el", [1, 2])
    def test_same_answer_from_python(self, bench: Any, el: int) -> None:
        """id_register and MRS agree."""
        x = bench.run("mrs x1, id_aa64mmfr1_el1; mrs x2, id_aa64isar0_el1; mrs x3, s3_0_c0_c7_2; smc #0", el=el)
        ids = [bench.pe.id_register(3, 0, 0, crm, op2) for crm, op2 in ((7, 1), (6, 0), (7, 2))]
        assert x[1:4] == ids
