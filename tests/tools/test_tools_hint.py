"""Code that dies at an instruction of a feature that its PE lacks: the message names it, and a CPU model that helps."""

from pathlib import Path
from typing import Any

import pytest
from ns_code import OFF, assemble, constant
from rmm_host import to_code
from secure_code import payload

import realmlab
from cca_tools.cli import main

RETAA, DIT, SVE = 0xD65F0BFF, 0xD53B42A3, 0x04E00000
HANDLED = f"adr x0, vectors; msr vbar_el2, x0; .word {DIT:#x}; {OFF} .balign 2048; vectors: .space 0x200; {{}}"
_LACKS = "the instruction {:#010x} at {:#x} is of {}, which PE 0 lacks: "


def run(source: str, **options: Any) -> realmlab.NsResult:
    with realmlab.NsMachine(realmlab.NsImage(assemble(source)), **options) as machine:
        return machine.run(max_insns=200_000)


class TestNonSecure:
    """Images at Non-secure EL2."""

    @pytest.mark.parametrize(
        ("word", "feature", "answer"),
        [
            (RETAA, "FEAT_PAuth", "use `cpu` max"),
            (DIT, "FEAT_DIT", "use `cpu` max"),
            (0xF8210003, "FEAT_LSE", "use `cpu` max"),
            (SVE, "FEAT_SVE", "no CPU model has it"),
        ],
    )
    def test_without_vectors(self, word: int, feature: str, answer: str) -> None:
        """Exceptions without end: the one that began them."""
        result = run(f"nop; .word {word:#x}; {OFF}")
        assert (result.status, result.reason) == (3, "stuck")
        cause = _LACKS.format(word, 0x8800_0004, feature) + answer
        assert result.message == f"PE 0 takes exceptions without end: {cause}; VBAR_EL2 is 0: there are no vectors"

    def test_max(self) -> None:
        """With a model that has the feature there is no such end; what no model has is told there, too."""
        assert run(f"nop; .word {DIT:#x}; {OFF}", cpu="max").status == 0
        message = run(f"nop; .word {SVE:#x}; {OFF}", cpu="max").message
        assert message.endswith(
            "FEAT_SVE, which PE 0 lacks: no CPU model has it; VBAR_EL2 is 0: there are no vectors"
        )

    def test_hangs(self) -> None:
        """A handler that waits for ever, up to the limit."""
        source = HANDLED.format("b .")
        result = run(source)
        assert (result.status, result.reason) == (4, "limit")
        assert "is of FEAT_DIT" in result.message

    def test_unseen(self) -> None:
        """An unknown word is of no feature, and a run that succeeds has no message."""
        assert "the instruction" not in run(".word 0").message
        skip = "mrs x0, elr_el2; add x0, x0, #4; msr elr_el2, x0; eret"
        result = run(HANDLED.format(skip))
        assert (result.status, result.message) == (0, "")
        assert "FEAT_DIT" in result.lacks
        assert run(HANDLED.format(skip), cpu="max").lacks == ""

    def test_command(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """The command spells the option as it takes it."""
        path = tmp_path / "code.bin"
        path.write_bytes(assemble(f".word {RETAA:#x}; {OFF}"))
        assert main(["run", "--world", "ns-el2", str(path)]) == 3
        assert "is of FEAT_PAuth, which PE 0 lacks: use --cpu max" in capfd.readouterr().err

    def test_summary(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Code that turns the system off at such an instruction has no message, but a line in the summary."""
        path = tmp_path / "code.bin"
        path.write_bytes(assemble(HANDLED.format(OFF)))
        assert main(["run", "--world", "ns-el2", str(path)]) == 0
        rows = capfd.readouterr().err.splitlines()
        text = "the instruction 0xd53b42a3 at 0x88000008 is of FEAT_DIT, which PE 0 lacks: use --cpu max"
        assert f"cpu     {text}" in rows

    def test_snapshot(self) -> None:
        """The hint belongs to the state: a restored machine tells the same."""
        source = HANDLED.format("b .")
        with realmlab.NsMachine(realmlab.NsImage(assemble(source))) as machine:
            before = machine.snapshot()
            machine.run(max_insns=1000)
            after = machine.snapshot()
            machine.restore(before)
            assert "FEAT_DIT" not in machine.run(max_insns=2).message
            machine.restore(after)
            assert "FEAT_DIT" in machine.run(max_insns=1000).message


class TestRealm:
    """A Realm, and the Secure payload."""

    def test_realm(self, tmp_path: Path) -> None:
        """A Realm without vectors, on the default model; the next Realm of the machine begins without a hint."""
        path, other = tmp_path / "code.bin", tmp_path / "other.bin"
        path.write_bytes(to_code(f"nop; .word {RETAA:#x}; b ."))
        other.write_bytes(to_code("b ."))
        with realmlab.Machine() as machine:
            result = machine.run_realm(path, max_insns=200_000)
            assert result.status in (3, 4)
            assert "is of FEAT_PAuth, which PE 0 lacks: use `cpu` max" in result.message
            assert "lacks" not in machine.run_realm(other, max_insns=20_000).message

    def test_secure(self, tmp_path: Path) -> None:
        """A Secure payload that dies at its start."""
        path = tmp_path / "secure.bin"
        path.write_bytes(payload(start=f".word {RETAA:#x};"))
        with pytest.raises(realmlab.MachineError, match=r"is of FEAT_PAuth, which PE 0 lacks: use `cpu` max"):
            realmlab.NsMachine(realmlab.NsImage(assemble(OFF + constant("x1", 0))), secure=path)
