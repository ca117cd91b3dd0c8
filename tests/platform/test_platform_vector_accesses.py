"""Vector loads and stores on devices: what Unicorn does to RAM with the same instruction, each register moved once."""

from typing import Any, Final

import pytest

from cca_platform.engine.engine import Engine

DRAM, DEVICE = 0x8012_0000, 0x1400_0000  # a page each: DRAM that the processor accesses itself, RAM on the bus
MIDDLE: Final = 0x400
SIZE: Final = 0x800
_ARRANGEMENTS: Final = ("8b", "16b", "4h", "8h", "2s", "4s", "1d", "2d")
_LANES: Final = (("b", 13, 1), ("h", 6, 2), ("s", 3, 4), ("d", 1, 8))


def _list(first: int, count: int, arrangement: str) -> str:
    return "{" + ", ".join(f"v{(first + n) % 32}.{arrangement}" for n in range(count)) + "}"


def _multiple(op: str, first: int) -> list[str]:
    """LD1 to LD4, or ST1 to ST4, of whole registers: without writeback, and after it by size and by register."""
    forms = []
    for structure, count in ((1, 1), (1, 2), (1, 3), (1, 4), (2, 2), (3, 3), (4, 4)):
        for arrangement in _ARRANGEMENTS:
            if structure > 1 and arrangement == "1d":
                continue
            size = count * (16 if arrangement in ("16b", "8h", "4s", "2d") else 8)
            name = f"{op}{structure} {_list(first, count, arrangement)}, [x10]"
            forms += [name, f"{name}, #{size}", f"{name}, x11"]
    return forms


def _single(op: str, first: int) -> list[str]:
    """The same of one lane."""
    forms = []
    for count in (1, 2, 3, 4):
        for arrangement, lane, size in _LANES:
            name = f"{op}{count} {_list(first, count, arrangement)}[{lane}], [x10]"
            forms += [name, f"{name}, #{count * size}", f"{name}, x11"]
    return forms


def _replicate(first: int) -> list[str]:
    """LD1R to LD4R."""
    forms = []
    for count in (1, 2, 3, 4):
        for arrangement in _ARRANGEMENTS:
            size = count * {"b": 1, "h": 2, "s": 4, "d": 8}[arrangement[-1]]
            name = f"ld{count}r {_list(first, count, arrangement)}, [x10]"
            forms += [name, f"{name}, #{size}", f"{name}, x11"]
    return forms


def _plain(op: str, pair: str) -> list[str]:
    """LDR and LDP, or STR and STP, of vector registers of each size."""
    sizes = (("b", 1), ("h", 2), ("s", 4), ("d", 8), ("q", 16))
    single = [f"{op} {name}2, [x10, #{16 * size}]" for name, size in sizes]
    return single + [f"{pair} {name}2, {name}3, [x10, #-{2 * size}]!" for name, size in sizes if size > 2]


FORMS: Final = {
    "loads": [*_multiple("ld", 1), *_single("ld", 1), *_plain("ldr", "ldp")],
    "loads of V31 and V0": [*_multiple("ld", 30), *_single("ld", 30)],
    "replicating loads": [*_replicate(1), *_replicate(30)],
    "stores": [*_multiple("st", 1), *_single("st", 1), *_plain("str", "stp")],
    "stores of V31 and V0": [*_multiple("st", 30), *_single("st", 30)],
}


def _vector(number: int, seed: int) -> int:
    return int.from_bytes(bytes((17 * number + 29 * byte + seed) % 256 for byte in range(16)), "little")


class _Board:
    """A bench with two equal banks of RAM: one is DRAM, the other a device."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.engine: Engine = bench.pe.engine
        self.ram = bench.machine.bus.devices["psram"]

    def run(self, forms: list[str], base: int) -> list[Any]:
        """Run ``forms`` at ``base``, each on the registers that the last has left; the outcome of all of them."""
        old = bytes((7 * n + 3) % 251 for n in range(SIZE))
        for at in range(0, SIZE, 8):
            self.ram.write(at, 8, int.from_bytes(old[at : at + 8], "little"))
        self.bench.write(DRAM, old)
        for number in range(32):
            self.engine.write_vector(number, _vector(number, 5))
        code = [f"{form}; eor x12, x12, x10; mov x10, x9" for form in forms]
        x = self.bench.run("; ".join(code) + "; smc #0", x9=base + MIDDLE, x10=base + MIDDLE, x11=24, x12=0)
        device = b"".join(self.ram.read(at, 8).to_bytes(8, "little") for at in range(0, SIZE, 8))
        memory = device if base == DEVICE else self.bench.machine.memory.backdoor.read(DRAM, SIZE)
        moved = x[12] ^ (base if len(forms) % 2 else 0)
        return [moved, memory, [self.engine.read_vector(number) for number in range(32)]]


class TestSameAsRam:
    """The processor's own access to RAM is the model."""

    @pytest.mark.parametrize("kind", FORMS)
    def test_forms(self, bench: Any, kind: str) -> None:
        """Each form of each vector load and store leaves the same registers, memory and base register."""
        board = _Board(bench)
        for form in FORMS[kind]:
            assert board.run([form], DEVICE) == board.run([form], DRAM), form

    @pytest.mark.parametrize("kind", FORMS)
    def test_in_a_row(self, bench: Any, kind: str) -> None:
        """So do all of them one after another, each on what the last has left."""
        board = _Board(bench)
        assert board.run(FORMS[kind], DEVICE) == board.run(FORMS[kind], DRAM)


@pytest.mark.pure("the engine is patched")
class TestOnce:
    """A register of the engine costs more than the access of an element."""

    @pytest.mark.parametrize(
        ("form", "reads", "writes"),
        [
            ("ld4 {v1.16b, v2.16b, v3.16b, v4.16b}, [x10]", 4, 4),
            ("st4 {v1.16b, v2.16b, v3.16b, v4.16b}, [x10]", 4, 0),
            ("ld1 {v1.8b}, [x10]", 1, 1),
            ("ld2r {v31.8h, v0.8h}, [x10]", 2, 2),
            ("stp q1, q1, [x10]", 1, 0),
        ],
    )
    def test_registers(
        self, bench: Any, monkeypatch: pytest.MonkeyPatch, form: str, reads: int, writes: int
    ) -> None:
        """An access reads each of its vector registers once, and a load writes each once."""
        moved: dict[str, list[int]] = {"read": [], "write": []}
        board = _Board(bench)
        read, write = Engine.read_vector, Engine.write_vector
        monkeypatch.setattr(Engine, "read_vector", lambda *of: (moved["read"].append(of[1]), read(*of))[1])
        monkeypatch.setattr(Engine, "write_vector", lambda *of: (moved["write"].append(of[1]), write(*of))[1])
        bench.run(f"{form}; smc #0", x10=DEVICE)
        assert board.ram is bench.machine.bus.devices["psram"]
        assert [len(moved["read"]), len(moved["write"])] == [reads, writes]
        assert all(len(numbers) == len({*numbers}) for numbers in moved.values())
