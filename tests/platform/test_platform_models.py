"""The table of CPU models: what ID registers say follows from it, and the engine has it."""

from typing import Any

import pytest

from cca_arch.sysregs import REGISTERS
from cca_platform.board import Board
from cca_platform.errors import MachineError
from cca_platform.machine.machine import Machine
from cca_platform.models import COMMON, DEFAULT, HIDDEN, MODELS, Source
from cca_platform.pe.identification import LAYOUTS


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
        for register, layout in LAYOUTS.items():
            found = layout(bench.pe.engine.read_system(REGISTERS[register]))
            for name in layout.fields():
                if getattr(found, name) and (register, name) not in hidden | {("id_aa64mmfr0_el1", "parange")}:
                    assert shown.fields(register).get(name), (register, name)

    def test_hidden_is_not_shown(self) -> None:
        """A hidden field is zero in every model."""
        assert not [one for one in HIDDEN for model in MODELS.values() if model.fields(one.register).get(one.field)]


class TestChoice:
    """Which model a machine has."""

    def test_default(self) -> None:
        """The default boots Linux fastest."""
        assert Machine(Board.load("fvp")).cpu == DEFAULT == "a72"

    def test_unknown(self) -> None:
        """A model must be one of the table."""
        with pytest.raises(MachineError, match=r"^`cpu` must be a72 or max, not 'a78'$"):
            Machine(Board.load("fvp"), cpu="a78")
