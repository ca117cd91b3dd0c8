"""The table of CPU models: what ID registers say follows from it, and the engine has it."""

from typing import Any

import pytest

from cca_arch.sysregs import PMU_V3P5, REGISTERS, SCTLR_EL1_RES1, Sctlr
from cca_platform.board import Board
from cca_platform.errors import MachineError
from cca_platform.isa.features import feature_of
from cca_platform.machine.machine import Machine
from cca_platform.models import COMMON, DEFAULT, HIDDEN, MODELS, Source
from cca_platform.pe.identification import LAYOUTS

VECTORS, DATA = 0x8011_0000, 0x8012_0000


class TestTable:
    """Rows are complete, and nothing is beside them."""

    @pytest.mark.parametrize("cpu", MODELS)
    def test_rows_alone(self, benches: Any, cpu: str) -> None:
        """Each bit of an ID register that is set stands in a row of the model, but for the board's PARange."""
        bench = benches(cpu=cpu)
        for crm in range(1, 8):
            for op2 in range(8):
                name = next((one for one in LAYOUTS if REGISTERS[one] == (3, 0, 0, crm, op2)), "")
                value = bench.pe.id_register(3, 0, 0, crm, op2)
                if name == "id_aa64mmfr0_el1":
                    value &= ~0xF
                assert value == (LAYOUTS[name].make(**MODELS[cpu].fields(name)) if name else 0), (crm, op2)

    @pytest.mark.parametrize("cpu", MODELS)
    def test_engine(self, benches: Any, cpu: str) -> None:
        """What a row says is the engine's, the engine's own ID register says too."""
        bench = benches(cpu=cpu)
        for one in (*COMMON, *MODELS[cpu].features):
            if one.source is Source.ENGINE:
                found = LAYOUTS[one.register](bench.pe.engine.read_system(REGISTERS[one.register]))
                assert all(getattr(found, name) >= value for name, value in one.fields.items()), one.name

    def test_nothing_is_forgotten(self, benches: Any) -> None:
        """What the engine's max has is shown by the model ``max``, or hidden with a reason."""
        bench, shown = benches(cpu="max"), MODELS["max"]
        hidden = {(one.register, one.field) for one in HIDDEN}
        assert shown.fields("id_aa64dfr0_el1")["pmuver"] == PMU_V3P5  # more than the engine's
        for register, layout in LAYOUTS.items():
            found = layout(bench.pe.engine.read_system(REGISTERS[register]))
            for name in layout.fields():
                if getattr(found, name) and (register, name) not in hidden | {("id_aa64mmfr0_el1", "parange")}:
                    assert shown.fields(register).get(name), (register, name)

    def test_hidden_is_not_shown(self) -> None:
        """A hidden field is zero in every model."""
        assert not [one for one in HIDDEN for model in MODELS.values() if model.fields(one.register).get(one.field)]


# What each feature lets code do: (words, the lowest level that may). X0 is the address of data, X1 = 0.
_SAMPLES: dict[str, tuple[int, int]] = {
    "FEAT_DIT": (0xD503415F, 0),  # MSR DIT, #1
    "FEAT_SSBS2": (0xD53B42C3, 0),  # MRS X3, SSBS
    "FEAT_FP16": (0x1EE02800, 0),  # FADD H0, H0, H0
    "FEAT_SHA512": (0xCE608020, 0), "FEAT_SHA3": (0xCE000020, 0), "FEAT_SM3": (0xCE60C020, 0),
    "FEAT_SM4": (0xCEC08420, 0), "FEAT_LSE": (0xF8210003, 0),  # LDADD X1, X3, [X0]
    "FEAT_RDM": (0x2E808420, 0), "FEAT_DotProd": (0x2E809400, 0), "FEAT_FHM": (0x0E20EC20, 0),
    "FEAT_FlagM2": (0xD500405F, 0), "FEAT_DPB2": (0xD50B7D20, 0),  # DC CVADP, X0
    "FEAT_PAuth": (0xDAC10021, 0), "FEAT_JSCVT": (0x1E7E0000, 0), "FEAT_FCMA": (0x6E40E420, 0),
    "FEAT_LRCPC2": (0xD9400003, 0), "FEAT_FRINTTS": (0x1E684020, 0), "FEAT_SB": (0xD50330FF, 0),
    "FEAT_SPECRES": (0xD50B7381, 0),  # CFP RCTX, X1
    "FEAT_LOR": (0xD538A4E3, 1),  # MRS X3, LORID_EL1
    "FEAT_PAN2": (0xD5384263, 1), "FEAT_UAO": (0xD5384283, 1),
}  # fmt: skip
_HIDDEN: dict[str, int] = {
    "FEAT_SVE": 0x04E00000,  # ADD Z0.D, Z0.D, Z0.D
}
_NOT_TRIED = {
    "FEAT_BTI": "BTI is a NOP without it",
    "FEAT_RNG": "RNDR reports failure each time: test_platform_identification",
    "FEAT_MixedEnd": "a bit of SCTLR_ELx",
    "FEAT_VHE": "its registers are there, HCR_EL2.E2H is not",
}


class TestInstructions:
    """What a model shows can be used at each level that may, and what it does not show is UNDEFINED."""

    def test_complete(self) -> None:
        """Each feature beyond the common ones has a sample here, each hidden one a sample or a reason."""
        assert {*_SAMPLES} == {one.name for model in MODELS.values() for one in model.features}
        assert {*_HIDDEN, *_NOT_TRIED} == {one.name for one in HIDDEN}

    @pytest.mark.parametrize("el", [0, 1, 2])
    @pytest.mark.parametrize("name", _SAMPLES)
    @pytest.mark.parametrize("cpu", MODELS)
    def test_sample(self, benches: Any, cpu: str, name: str, el: int) -> None:
        """An instruction of the feature runs if the model has it."""
        word, lowest = _SAMPLES[name]
        undefined = self._undefined(benches(cpu=cpu), word, el)
        assert undefined == (el < lowest or not MODELS[cpu].has(name))
        assert feature_of(word) == name

    @pytest.mark.parametrize("name", _HIDDEN)
    @pytest.mark.parametrize("cpu", MODELS)
    def test_hidden(self, benches: Any, cpu: str, name: str) -> None:
        """No model runs what all of them hide."""
        assert [self._undefined(benches(cpu=cpu), _HIDDEN[name], el) for el in (1, 2)] == [True, True]

    @staticmethod
    def _undefined(bench: Any, word: int, el: int) -> bool:
        """Whether an instruction is UNDEFINED; no other exception than that may come."""
        own = max(el, 1)
        for offset in range(0, 0x800, 0x80):
            bench.place(VECTORS + offset, f"mrs x20, esr_el{own}; smc #0")
        bench.pe.write_sysreg(f"vbar_el{own}", VECTORS)
        bench.pe.write_sysreg("sctlr_el1", SCTLR_EL1_RES1 | Sctlr.make(uci=1, enrctx=1))
        source = f"mov x20, #0; .word {word:#x}; {'smc #0' if el else 'svc #0'}"
        esr = bench.run(source, el=el, x0=DATA, x1=0)[20]
        assert esr in (1 << 25, 0 if el else 0x15 << 26 | 1 << 25)
        return bool(esr == 1 << 25)


@pytest.mark.parametrize("word", [0xD50B7C20, 0xD50B7D20], ids=["DC CVAP", "DC CVADP"])
@pytest.mark.parametrize("el", [1, 2])
def test_persistence(benches: Any, word: int, el: int) -> None:
    """DC CVAP and CVADP of an address without a translation are Data Aborts, as DC CVAC is: CM and WnR."""
    bench = benches(cpu="max")
    for offset in range(0, 0x800, 0x80):
        bench.place(VECTORS + offset, f"mrs x20, esr_el{el}; mrs x21, far_el{el}; smc #0")
    bench.pe.write_sysreg(f"vbar_el{el}", VECTORS)
    x = bench.run(f"mov x20, #0; .word {word:#x}; smc #0", el=el, x0=1 << 50)
    assert x[20:22] == [0x25 << 26 | 1 << 25 | 1 << 8 | 1 << 6, 1 << 50]  # address size fault, level 0


class TestNames:
    """Which feature an instruction is of."""

    @pytest.mark.parametrize(
        ("word", "name"),
        [
            (0xD65F0BFF, "FEAT_PAuth"), (0xD69F0FFF, "FEAT_PAuth"), (0xF8200400, "FEAT_PAuth"),
            (0xD503233F, "FEAT_PAuth"), (0x9AC03000, "FEAT_PAuth"), (0xD71F0C00, "FEAT_PAuth"),
            (0x08A07C00, "FEAT_LSE"), (0xC8E0FC00, "FEAT_LSE"), (0x48207C00, "FEAT_LSE"), (0xF8E08000, "FEAT_LSE"),
            (0xF8BFC000, "FEAT_LRCPC2"), (0xF83F9000, "FEAT_LS64"), (0xD503415F, "FEAT_DIT"), (0xD53B42A0, "FEAT_DIT"),
            (0xD51B42C0, "FEAT_SSBS2"), (0xD500419F, "FEAT_PAN2"), (0xD508831F, None), (0xD508811F, "FEAT_TLBIOS"),
            (0xD5088220, "FEAT_TLBIRANGE"), (0xD53D1000, "FEAT_VHE"), (0x04E00000, "FEAT_SVE"), (0xD65F03C0, None),
            (0xD503201F, None), (0xF9400000, None), (0x00000000, None), (0x1E602800, None), (0xC85F7C00, None),
            (0x8B020021, None), (0xD4000003, None), (0xD69F03E0, None), (0xB8200820, None), (0x9AC02000, None),
            (0x4E284820, None), (0x2E208400, None), (0xFFFFFFFF, None),
        ],
    )  # fmt: skip
    def test_feature(self, word: int, name: str | None) -> None:
        """Instructions that are in Armv8.0 are of none."""
        assert feature_of(word) == name


class TestChoice:
    """Which model a machine has."""

    def test_default(self) -> None:
        """The default boots Linux fastest."""
        assert Machine(Board.load("fvp")).cpu == DEFAULT == "a72"

    def test_unknown(self) -> None:
        """A model must be one of the table."""
        with pytest.raises(MachineError, match=r"^`cpu` must be a72 or max, not 'a78'$"):
            Machine(Board.load("fvp"), cpu="a78")
