"""The benchmark's table and its loops; the figures themselves are no test."""

import io
import json
from itertools import product

import capstone
import pytest
from elftools.elf.elffile import ELFFile

from cca_platform.errors import MachineError
from cca_platform.printer import Printer
from cca_tools.bench import (
    LOOPS,
    ROWS,
    Bare,
    Bench,
    Figure,
    Measured,
    NsEl2,
    Realm,
    Row,
    Timing,
    Took,
    blocks,
    changes,
    figures,
    guest_table,
    load,
    loops,
    page,
    processes,
    report,
    summaries,
    table,
)
from cca_tools.bench.guest import PLACES, SHARED
from cca_tools.bench.rows import of_tier
from cca_tools.cli import main
from realmlab import Machine
from realmlab.payloads import find_payload

TIME = Row("t", "a path", "us", (10, 5), 4, lambda bench: Took(5e-6, 9e-6))
SHARE = Row("s", "a share", "% of bare", 80, 95, lambda bench: 0.0)


class TestVerdict:
    """Times must be small and shares large."""

    @pytest.mark.parametrize(
        ("row", "value", "verdict"),
        [
            (TIME, 4, "aim"),
            (TIME, 5, "must"),
            (TIME, 11, "MISSED"),
            (SHARE, 96, "aim"),
            (SHARE, 80, "must"),
            (SHARE, 79, "MISSED"),
        ],
    )
    def test_bounds(self, row: Row, value: float, verdict: str) -> None:
        """The bound itself is met."""
        assert Measured(row, (value,)).verdict == verdict

    def test_no_figure(self) -> None:
        """A row that cannot be measured says why, in the table too; the best of the rounds counts."""
        stream = io.StringIO()
        rows = [Measured(TIME, (), "RuntimeError: no machine"), Measured(SHARE, (97.123, 90.0))]
        rows.append(Measured(TIME, (8, 6), walls=(9, 12), tier="built"))
        table(rows, Printer(stream))
        assert stream.getvalue().splitlines() == [
            "Path     Best  Unit       Spread  Wall  Must  Aim  Verdict",
            "a path   -     us         +0 %    -     10    4    no figure: RuntimeError: no machine",
            "a share  97.1  % of bare  +8 %    -     80    95   aim",
            "a path   6     us         +33 %   9     5     4    MISSED",
        ]

    def test_walls(self) -> None:
        """A row of time is a figure of the CPU, and one of the wall, in its unit."""
        assert TIME.figure(Bench()) == pytest.approx((5, 9)) and SHARE.figure(Bench()) == (0, None)

    def test_tiers(self) -> None:
        """What `make fast` has built has bounds of its own."""
        assert (of_tier((10, 5), "stock"), of_tier((10, 5), "built"), of_tier(7, "built")) == (10, 5, 7)

    def test_names(self) -> None:
        """Names are unique, and bounds are in order."""
        assert len({row.name for row in ROWS}) == len(ROWS)
        for row, tier in product(ROWS, ("stock", "built")):
            assert (of_tier(row.must, tier) < of_tier(row.aim, tier)) == row.larger_is_better


class TestProcesses:
    """Rows of whole processes."""

    def test_shared(self, monkeypatch) -> None:
        """What one process gives together is measured together, and alone if it is asked for alone."""
        started = []
        monkeypatch.setattr(processes, "_run", lambda code: (started.append(code), ([0.2, 45.0], 0.3))[1])
        bench, rows = Bench(), {row.name: row for row in processes.ROWS}
        assert rows["start"].figure(bench) == (0.2, 0.3) and rows["memory"].figure(bench) == (45.0, None)
        assert len(started) == 3
        assert rows["memory"].figure(bench) == (45.0, None) and len(started) == 6
        assert rows["memory-pe"].figure(bench) == (45.0, None) and len(started) == 7

    def test_engines(self) -> None:
        """A PE has an engine, and the memory of one, once it runs code: none at the boot, one for a Realm of one."""
        with Machine() as machine:
            pes = machine.platform.pes
            assert len(pes) == 8 and not any(pe.has_engine for pe in pes)
            machine.run_realm("hello")
            assert [pe.has_engine for pe in pes] == [True, *[False] * 7]

    def test_parts(self) -> None:
        """The memory of a machine, and of a PE that runs code, which a machine does not have before."""
        bench, rows = Bench(), {row.name: row for row in processes.ROWS}
        assert 0 < rows["memory-machine"].figure(bench)[0] < 16
        assert 1 < rows["memory-pe"].figure(bench)[0] < 16 and not bench.found


class TestLoops:
    """The loops are the instructions that they claim to be."""

    def disassemble(self, words: list[int]) -> list[str]:
        """Mnemonics and operands."""
        engine = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_LITTLE_ENDIAN)
        return [f"{one.mnemonic} {one.op_str}".strip() for one in engine.disasm(loops.code(words), 0x1000)]

    def test_stores(self) -> None:
        """A byte to where X20 points, a number of times or for ever."""
        text = self.disassemble(loops.store_many(3, 0x1C09_0000))
        assert text[4] == "mov x19, #3"
        assert text[8:] == ["strb w21, [x20]", "subs x19, x19, #1", "cbnz x19, #0x1020"]
        pages = self.disassemble(loops.store_pages(3, 0x8000_1000))[8:]
        assert pages == ["strb w21, [x20]", "add x20, x20, #1, lsl #12", "subs x19, x19, #1", "cbnz x19, #0x1020"]
        assert self.disassemble(loops.store_forever(1 << 32))[4:] == ["strb w21, [x20]", "b #0x1010"]

    def test_call_many(self) -> None:
        """Registers, SMC, count, branch back behind the counter's setup."""
        text = self.disassemble(loops.call_many(3, ((0, 0xC400_0190),)))
        assert text[0] == "mov x19, #3" and text[4:6] == ["mov x0, #0x190", "movk x0, #0xc400, lsl #16"]
        assert text[8:] == ["smc #0", "subs x19, x19, #1", "cbnz x19, #0x1010"]

    def test_call_forever(self) -> None:
        """The last instruction goes to the first."""
        text = self.disassemble(loops.call_forever(((1, 5),)))
        assert text[-2:] == ["smc #0", "b #0x1000"]

    def test_turn_length(self) -> None:
        """A turn is as long as it says."""
        assert len(loops.arithmetic(1, 100)) == 4 + 100
        assert len(loops.load_store(1, 0)) == 8 + loops.LOOP_LENGTH

    def test_lazy(self) -> None:
        """A Bench boots its machine when a row asks for it."""
        assert "machine" not in vars(Bench())


class TestGuestCode:
    """The loops of the payload, wherever they run."""

    def test_numbers(self) -> None:
        """The payload's own table has the loops in this order."""
        elf = ELFFile(io.BytesIO(find_payload("guest_code").read_bytes()))
        symbols = {one.name: one["st_value"] for one in elf.get_section_by_name(".symtab").iter_symbols()}
        text = elf.get_section_by_name(".text")
        engine = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_LITTLE_ENDIAN)
        start = symbols["table"] - text["sh_addr"]
        rows = 1 + max(loop.number for loop in LOOPS)
        targets = [int(one.op_str[1:], 16) for one in engine.disasm(text.data()[start : start + 4 * rows], 0)]
        named = {value - symbols["table"]: name for name, value in symbols.items()}
        found = [named[target] for target in targets]
        assert found[:6] == ["alu10", "alu100", "branchy", "call", "load", "store"] and len(set(found)) == rows
        assert [found[loop.number] for loop in LOOPS if loop.region == "uart"] == ["device_read", "device_write"]
        assert {found[loop.number] for loop in LOOPS if loop.region == "gic"} == {"wake", "interrupt", "between"}
        assert {loop.number for loop in LOOPS} == set(range(rows)) and {loop.name for loop in LOOPS} > SHARED

    @pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.name)
    def test_runs(self, loop) -> None:
        """Each ends everywhere where it is said to run, after a few turns."""
        assert loop.places and set(loop.places) <= set(PLACES)
        for place in (NsEl2(), Realm(), Bare()):
            assert place.name not in loop.places or place.run(loop, 3).cpu > 0

    def test_table(self) -> None:
        """Nanoseconds a turn in each place, and shares of the fastest other one."""
        stream = io.StringIO()
        timing = Timing(LOOPS[0], {"ns-el2": [6.0, 4.0], "realm": [3.0], "qemu": [2.0, 2.5]}, {"ns-el2": [7.0, 6.5]},
                        trouble={"bare": "E: no"})  # fmt: skip
        guest_table([timing], Printer(stream))
        assert stream.getvalue().splitlines() == [
            "Guest code  NS-EL2  Realm   QEMU    NS-EL2 / QEMU  Realm / QEMU  Spread  Wall    A turn is",
            "alu10       4.0 ns  3.0 ns  2.0 ns  0.50           0.67          +50 %   6.5 ns  10 instructions, no "
            "memory",
            "NS-EL2: 0.50 of the speed of QEMU (geometric mean of 1 loops), 0.50 at worst",
            "Realm: 0.67 of the speed of QEMU (geometric mean of 1 loops), 0.67 at worst",
            "alu10, Unicorn alone: no figure: E: no",
        ]

    @pytest.mark.parametrize(
        ("share", "tier", "verdict"),
        [(0.3, "stock", "MISSED and aim"), (0.45, "stock", "must and aim"), (0.6, "stock", "aim"),
         (0.6, "built", "MISSED and must")],
    )  # fmt: skip
    def test_bounds(self, share, tier, verdict) -> None:
        """The speed of all loops that are compared has bounds: the mean of it, and the worst."""
        timings = [Timing(loop, {"realm": [1 / share], "qemu": [1.0]}) for loop in LOOPS if loop.name in SHARED]
        (summary,) = summaries(timings, tier)
        assert (summary.mean, summary.worst) == pytest.approx((share, share))
        assert summary.verdict.startswith(f"{verdict} (must 0.")
        assert [one.verdict for one in summaries(timings[1:], tier)] == [""]


class TestPage:
    """The tables stand in a page between two comments."""

    def test_filled(self, tmp_path) -> None:
        """What is between the comments is replaced, what is around them stays."""
        path = tmp_path / "page.md"
        other = "b\n<!-- realmlab bench: x -->\n<!-- end -->"
        path.write_text(f"a\n<!-- realmlab bench: paths -->\nold\n<!-- end -->\n{other}")
        found = blocks([Measured(TIME, (5.0,))], [], report({}, "11.1"), "stock")
        assert found["machine"].startswith("Measured on ") and found["machine"].endswith("beside QEMU 11.1.\n")
        text = page(path, found)
        assert text == (
            "a\n<!-- realmlab bench: paths -->\n| Path | Best | Unit | Spread | Wall | Must | Aim | Verdict |\n"
            "| --- | --- | --- | --- | --- | --- | --- | --- |\n| a path | 5 | us | +0 % | - | 10 | 4 | must |\n"
            f"<!-- end -->\n{other}"
        )
        path.write_text(text)
        assert page(path, found) == text

    def test_new(self, tmp_path) -> None:
        """A page that is not there gets all tables, with their comments."""
        found = blocks([Measured(TIME, (5.0,))], [Timing(LOOPS[0], {"realm": [3.0]})], report({}, None), "stock")
        assert list(found) == ["machine", "paths", "guest"]
        (tmp_path / "new.md").write_text(page(tmp_path / "new.md", found))
        assert page(tmp_path / "new.md", found) == (tmp_path / "new.md").read_text()

    def test_no_place(self, tmp_path, capsys) -> None:
        """A page without a place for tables is one line, before anything is measured."""
        (tmp_path / "page.md").write_text("text")
        assert main(["bench", "--markdown", str(tmp_path / "page.md")]) == 2
        assert "has no place for figures: put <!-- realmlab bench: paths -->" in capsys.readouterr().err


class TestCompare:
    """What is told from noise, and what is not."""

    @pytest.mark.parametrize(
        ("unit", "before", "now", "verdict"),
        [
            ("us", [10, 11], [10.9, 12], "same"),
            ("us", [10, 11], [11.5, 12], "worse"),
            ("us", [10, 11], [9, 9.5], "better"),
            ("us", [10, 11], [9, 10.5], "same"),
            ("% of bare", [80, 90], [75, 76], "worse"),
            ("% of bare", [80, 81], [95, 96], "better"),
            ("% of bare", [80, 90], [85, 70], "same"),
        ],
    )
    def test_verdict(self, unit, before, now, verdict) -> None:
        """Worse is what is worse than each round before; better, what was better in each round."""
        (change,) = changes({"f": Figure(unit, before)}, {"f": Figure(unit, now), "new": Figure(unit, now)})
        assert change.verdict == verdict and (change.ratio > 1) == (min(now) > min(before)) ^ unit.startswith("%")

    @pytest.mark.parametrize("rounds", [[], [0], [-1], [0.0, 5]])
    def test_no_ratio(self, rounds) -> None:
        """A figure without rounds, or with one of nothing, is compared with none."""
        for unit in ("us", "% of bare"):
            sound, odd = {"f": Figure(unit, [1])}, {"f": Figure(unit, rounds)}
            assert [*changes(odd, sound), *changes(sound, odd)] == []

    def test_kept(self, tmp_path, capsys) -> None:
        """The command writes what it can compare with; a figure that is worse is status 1."""
        path = tmp_path / "f.json"
        assert main(["bench", "--rows", "trace-off", "--rounds", "1", "--save", str(path),
                     "--markdown", str(tmp_path / "page.md")]) == 0  # fmt: skip
        assert "| trace off, cost |" in (tmp_path / "page.md").read_text()
        assert load(path).figures.keys() == {"trace-off"}
        told = json.loads(path.read_text())
        told["figures"]["trace-off"]["rounds"] = [1e-9]
        path.write_text(json.dumps(told))
        capsys.readouterr()
        assert main(["bench", "--rows", "trace-off", "--rounds", "1", "--compare", str(path), "--json"]) == 1
        (change,) = json.loads(capsys.readouterr().out)["changes"]
        assert (change["name"], change["verdict"]) == ("trace-off", "worse")

    @pytest.mark.parametrize("text", ["", "[", "{}", "[" * 50_000, '{"figures": {"a": {"unit": 5}}}'])
    def test_no_figures(self, tmp_path, text) -> None:
        """Another file is one line."""
        (tmp_path / "f.json").write_text(text)
        with pytest.raises(MachineError, match=r"f\.json must be a file of `realmlab bench --save`"):
            load(tmp_path / "f.json")

    def test_names(self) -> None:
        """Figures of guest code are named by loop and place."""
        found = figures([Measured(TIME, (5.0,))], [Timing(LOOPS[0], {"realm": [3.0]})])
        assert found == {"t": Figure("us", [5.0]), "alu10.realm": Figure("ns", [3.0])}
        assert report(found, "11.1").versions.keys() == {"realmlab", "unicorn", "python", "tier", "qemu"}

    def test_no_qemu(self, capsys) -> None:
        """A program that is not there is one line, before anything is measured."""
        assert main(["bench", "--qemu", "/no/qemu"]) == 2
        assert capsys.readouterr().err.startswith("realmlab: /no/qemu cannot be run: install the package qemu-system-")
