"""The decoder against the processor: the aborts, syndromes and results that Unicorn gives random instructions."""

import random
import struct
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from unicorn import UC_ARCH_ARM64, UC_HOOK_INTR, UC_MODE_ARM, Uc, UcError
from unicorn.arm64_const import (
    UC_ARM64_REG_CP_REG,
    UC_ARM64_REG_PSTATE,
    UC_ARM64_REG_SP,
    UC_ARM64_REG_V0,
    UC_ARM64_REG_X0,
    UC_ARM64_REG_X29,
    UC_ARM64_REG_X30,
    UC_CPU_ARM64_MAX,
)

from cca_arch.sysregs import DataAbortEsr
from cca_platform.isa.access import (
    ZVA_SIZE,
    Element,
    Kind,
    MemoryAccess,
    Mode,
    address,
    elements,
    emulate_load,
    emulate_vector_load,
    faulting_address,
    iss,
    store_value,
    vector_store_value,
    writeback,
)
from cca_platform.isa.decoder import decode

PAGE = 0x1000
CODE = 0x1000
DATA = range(0x10000, 0x40000)  # mapped, read and write
READ_ONLY = 0x40000
TABLES = 0x100000
MEMORY = 0x200000
U64 = (1 << 64) - 1
X = [*range(UC_ARM64_REG_X0, UC_ARM64_REG_X0 + 29), UC_ARM64_REG_X29, UC_ARM64_REG_X30]
UNDEFINED, DATA_ABORT = 1, 4
STAGE_2, STAGE_1 = 0x24, 0x25  # EC of a data abort to EL2 from EL1, and to EL1 itself
ALIGNMENT = 0x21

SCR_EL3, VTCR_EL2, VTTBR_EL2, HCR_EL2 = (3, 6, 1, 1, 0), (3, 4, 2, 1, 2), (3, 4, 2, 1, 0), (3, 4, 1, 1, 0)
SCTLR_EL1, TCR_EL1, TTBR0_EL1, MAIR_EL1 = (3, 0, 1, 0, 0), (3, 0, 2, 0, 2), (3, 0, 2, 0, 0), (3, 0, 10, 2, 0)

# Classes of C4.1 "Loads and Stores", and SYS with CRn = 7: fixed bits, the others are random.
CLASSES = {
    "multiple structures": (0xBF200000, 0x0C000000),
    "multiple structures, no offset": (0xBFBF0000, 0x0C000000),
    "single structure": (0xBF000000, 0x0D000000),
    "single structure, no offset": (0xBF9F0000, 0x0D000000),
    "exclusive and ordered": (0x3F000000, 0x08000000),
    "compare and swap": (0x3FA07C00, 0x08A07C00),
    "compare and swap pair": (0xBFA07C00, 0x08207C00),
    "ordered unscaled": (0x3F200C00, 0x19000000),
    "literal": (0x3B000000, 0x18000000),
    "pair": (0x3A000000, 0x28000000),
    "9-bit immediate": (0x3B200000, 0x38000000),
    "atomic": (0x3F200C00, 0x38200000),
    "LDAPR": (0x3FFFFC00, 0x38BFC000),
    "register offset": (0x3B200C00, 0x38200800),
    "authenticated": (0xFF200400, 0xF8200400),
    "12-bit immediate": (0x3B000000, 0x39000000),
    "SYS by address": (0xFFF8F000, 0xD5087000),
    "DC ZVA": (0xFFFFFFE0, 0xD50B7420),
}

LEFT_OUT = (
    (0x1C000000, 0x14000000),  # branches, exceptions, system instructions
    (0x1E000000, 0x04000000),  # SVE
    (0x9F60C400, 0x0E400400),  # half precision, three same: Unicorn's MAX ends the process on an unallocated opcode,
    (0x8F7E0C00, 0x0E780800),  # and two-register miscellaneous likewise
)


class Outcome(NamedTuple):
    """What one instruction did: the exception or None, and its syndrome and address."""

    exception: int | None
    syndrome: int
    far: int


class Processor:
    """A PE at EL1 of the Non-secure world, with Unicorn's own MMU; memory is identity mapped by stage 1 or stage 2."""

    def __init__(self, stage: int) -> None:
        self.stage = stage
        self.uc = Uc(UC_ARCH_ARM64, UC_MODE_ARM)
        self.uc.ctl_set_cpu_model(UC_CPU_ARM64_MAX)
        self.uc.ctl_set_page_size(PAGE)
        self.uc.mem_map(0, MEMORY)
        self.uc.reg_write(UC_ARM64_REG_PSTATE, 0x3C5)
        self.write(SCR_EL3, 0x531)
        self.tables(stage)
        if stage == 1:
            self.write(HCR_EL2, 1 << 31)
            self.write(MAIR_EL1, 0xFF)
            self.write(TCR_EL1, 25 | 2 << 32)
            self.write(TTBR0_EL1, TABLES)
            self.write(SCTLR_EL1, 0x30D00801)
        else:
            self.write(VTCR_EL2, 1 << 31 | 2 << 16 | 3 << 12 | 1 << 6 | 25)
            self.write(VTTBR_EL2, TABLES)
            self.write(HCR_EL2, 1 << 31 | 1)
        self.exceptions: list[int] = []
        self.uc.hook_add(UC_HOOK_INTR, self.interrupted)
        self.pristine = self.uc.context_save()
        self.current = self.uc.context_save()
        self.offsets: tuple[int, int] | None = None

    def write(self, register: tuple[int, int, int, int, int], value: int) -> None:
        op0, op1, crn, crm, op2 = register
        self.uc.reg_write(UC_ARM64_REG_CP_REG, (crn, crm, op0, op1, op2, value))

    def tables(self, stage: int) -> None:
        """Three levels: code readable, data read and write, one page read-only, nothing else."""
        attributes = 0x700 | 3 if stage == 1 else 0x73F | 3
        read_write, read_only = (0, 0x80) if stage == 1 else (0xC0, 0x40)
        leaves = [0] * 512
        for page in [CODE, *DATA[::PAGE], READ_ONLY]:
            access = read_only if page in (CODE, READ_ONLY) else read_write
            leaves[page // PAGE] = page | attributes | access
        self.uc.mem_write(TABLES, struct.pack("<Q", TABLES + PAGE | 3))
        self.uc.mem_write(TABLES + PAGE, struct.pack("<Q", TABLES + 2 * PAGE | 3))
        self.uc.mem_write(TABLES + 2 * PAGE, struct.pack("<512Q", *leaves))

    def interrupted(self, uc: Uc, number: int, _: object) -> None:
        self.exceptions.append(number)
        uc.emu_stop()

    def run(self, word: int, x: list[int], sp: int) -> Outcome:
        """Execute one instruction at CODE from a fresh register file."""
        uc = self.uc
        uc.context_restore(self.pristine)
        uc.mem_write(CODE, struct.pack("<I", word))
        uc.ctl_remove_cache(CODE, CODE + 4)
        for register, value in zip(X, x, strict=True):
            uc.reg_write(register, value)
        uc.reg_write(UC_ARM64_REG_SP, sp)
        return self.go()

    def go(self) -> Outcome:
        self.exceptions.clear()
        try:
            self.uc.emu_start(CODE, CODE + 4, count=1)
        except UcError:
            assert self.exceptions
        if not self.exceptions:
            return Outcome(None, 0, 0)
        if self.offsets is None or self.exceptions[0] != DATA_ABORT:
            return Outcome(self.exceptions[0], 0, 0)
        state = self.state()
        (syndrome,) = struct.unpack_from("<I", state, self.offsets[0])
        (far,) = struct.unpack_from("<Q", state, self.offsets[1])
        return Outcome(DATA_ABORT, syndrome, far)

    def step(self, word: int) -> Outcome:
        """Execute one more instruction, with registers as they are."""
        self.uc.mem_write(CODE, struct.pack("<I", word))
        self.uc.ctl_remove_cache(CODE, CODE + 4)
        return self.go()

    def set_vectors(self, rng: random.Random) -> list[int]:
        """Give every vector register random contents for all runs that follow."""
        self.uc.context_restore(self.pristine)
        v = [rng.getrandbits(128) for _ in range(32)]
        for number, value in enumerate(v):
            self.uc.reg_write(UC_ARM64_REG_V0 + number, value)
        self.uc.context_update(self.pristine)
        return v

    def registers(self) -> tuple[list[int], int, list[int]]:
        """X0 to X30, SP and V0 to V31."""
        read = self.uc.reg_read
        return [read(n) for n in X], read(UC_ARM64_REG_SP), [read(UC_ARM64_REG_V0 + n) for n in range(32)]

    def state(self) -> bytes:
        self.uc.context_update(self.current)
        return bytes(self.current)

    def calibrate(self, known: list[tuple[int, int, int, int, int]]) -> None:
        """Find where a saved context keeps the pending syndrome and address: where known aborts put known values."""
        syndromes, fars = set(range(0, 1 << 16, 4)), set(range(0, 1 << 16, 8))
        for word, rn, base, syndrome, far in known:
            x = [0] * 31
            x[rn] = base
            assert self.run(word, x, 0).exception == DATA_ABORT
            state = self.state()
            syndromes &= {at for at in range(0, len(state) - 3, 4) if state[at : at + 4] == struct.pack("<I", syndrome)}
            fars &= {at for at in range(0, len(state) - 7, 8) if state[at : at + 8] == struct.pack("<Q", far)}
        assert len(syndromes) == len(fars) == 1
        self.offsets = syndromes.pop(), fars.pop()


# LDR X5, [X1, #8]; LDRSH W7, [X9, #2]; STR W3, [X2, #4]: translation faults at level 3, 2 and 3.
KNOWN = [(0xF9400425, 1, 0x123450), (0x79C00527, 9, 0x8123456), (0xB9000443, 2, 0x155550)]
SYNDROMES = {
    2: [(*KNOWN[0], 0x93C58007, 0x123458), (*KNOWN[1], 0x93670006, 0x8123458), (*KNOWN[2], 0x93830047, 0x155554)],
    1: [(*KNOWN[0], 0x96000007, 0x123458), (*KNOWN[1], 0x96000006, 0x8123458), (*KNOWN[2], 0x96000047, 0x155554)],
}


@pytest.fixture(scope="module")
def stage2() -> Processor:
    """EL1 with stage 1 off and stage 2 on."""
    processor = Processor(2)
    processor.calibrate(SYNDROMES[2])
    return processor


@pytest.fixture(scope="module")
def stage1() -> Processor:
    """EL1 with stage 1 on: data pages are for EL1 only."""
    processor = Processor(1)
    processor.calibrate(SYNDROMES[1])
    return processor


def words(rng: random.Random, per_class: int, anywhere: int) -> Iterator[int]:
    """Random words of every class, and random words of the whole load and store space without SVE."""
    for mask, value in CLASSES.values():
        for _ in range(per_class):
            yield rng.getrandbits(32) & ~mask | value
    for _ in range(anywhere):
        yield rng.getrandbits(32) & ~0x0A000000 | 0x08000000


def somewhere(rng: random.Random) -> int:
    """An address: mostly unmapped, sometimes near the end of mapped memory, read-only, or beyond every table."""
    choice = rng.random()
    if choice < 0.5:
        return rng.randrange(0x41000, MEMORY)
    if choice < 0.7:
        return READ_ONLY + PAGE - rng.randrange(1, 80)
    if choice < 0.8:
        return DATA.stop - rng.randrange(1, 64)
    if choice < 0.85:
        return READ_ONLY + rng.randrange(PAGE)
    return rng.getrandbits(rng.choice((30, 38, 47, 64)))


def registers(rng: random.Random, access: MemoryAccess | None) -> tuple[list[int], int]:
    """X0..X30 and SP: random, and the base such that the access goes somewhere() where its form permits."""
    x = [somewhere(rng) for _ in range(31)]
    sp = somewhere(rng)
    if access is None:
        return x, sp
    if access.mode is Mode.REGISTER and access.rm != 31:
        x[access.rm] = rng.getrandbits(rng.choice((4, 16, 32, 64)))
    target = somewhere(rng)
    if access.exclusive or access.kind is Kind.ATOMIC:
        target &= -access.total if rng.random() < 0.9 else -1
    return aim(access, x, sp, target) or (x, sp)


def permitted(processor: Processor, access: MemoryAccess, start: int) -> bool:
    """True when every byte of the access is mapped and writable if need be; stage 1 keeps every page from EL0."""
    if processor.stage == 1 and access.unprivileged:
        return False
    if access.kind is Kind.ZERO:
        start &= -ZVA_SIZE
    for byte in (start, (start + access.total - 1) & U64):
        page = byte & -PAGE
        if page not in DATA and (access.is_write or page not in (CODE, READ_ONLY)):
            return False
    return True


def as_unicorn(access: MemoryAccess) -> MemoryAccess:
    """The access with ISV where Unicorn sets it against the architecture: one general register with writeback."""
    single = access.writeback and access.pieces == 1 and not access.fp and not access.authenticated
    return access._replace(isv=True) if single else access


class TestAborts:
    """An abort has the address and the syndrome that Unicorn gives it."""

    def check(self, processor: Processor, word: int, rng: random.Random, seen: Counter[str]) -> None:
        access = decode(word)
        x, sp = registers(rng, access)
        got = processor.run(word, x, sp)
        about = f"{word:#010x} {access and access.name} {got} {access}"
        if access is None:
            if word >> 19 != 0xD508 >> 3:
                assert got.exception == UNDEFINED, about
            seen["unallocated"] += 1
            return
        if access.kind is Kind.TRANSLATE and word >> 16 & 4:
            return  # an operation of EL2 or EL3
        assert got.exception != UNDEFINED, about
        if got.exception is None:
            silent = access.cm or not access.aborts or (access.exclusive and access.is_write)
            assert silent or permitted(processor, access, address(access, x, sp, CODE)), about
            seen["retired"] += 1
            return
        assert got.exception == DATA_ABORT, about
        if access.kind is Kind.CACHE:  # DC CVAP: Unicorn probes the cache line with a plain read
            assert not permitted(processor, access, got.far)
            return
        start = address(access, x, sp, CODE)
        esr = DataAbortEsr(got.syndrome & 0x1FFFFFF)
        if esr.fsc == ALIGNMENT:
            assert got.far == start, about
        else:
            assert not permitted(processor, access, start), about
            assert got.far == faulting_address(access, start, got.far & -PAGE), about
        wnr = None if access.kind is not Kind.ATOMIC else bool(esr.wnr)
        expected = iss(as_unicorn(access), esr.fsc, wnr=wnr, stage2=got.syndrome >> 26 == STAGE_2)
        assert expected == esr, f"{DataAbortEsr(expected)} {about}"
        seen[access.name] += 1
        seen["abort"] += 1

    @pytest.mark.parametrize("seed", range(4))
    def test_stage_2(self, stage2: Processor, seed: int) -> None:
        """Stage 2 faults describe the register where the architecture says so."""
        rng, seen = random.Random(seed), Counter[str]()
        for word in words(rng, 400, 4000):
            self.check(stage2, word, rng, seen)
        assert seen["abort"] > 4000

    def test_stage_1(self, stage1: Processor) -> None:
        """Stage 1 faults to EL1 describe no register."""
        rng, seen = random.Random(5), Counter[str]()
        for word in words(rng, 400, 4000):
            self.check(stage1, word, rng, seen)
        assert seen["abort"] > 4000

    def test_read_of_an_atomic(self, stage2: Processor) -> None:
        """An atomic whose read is refused reports a read, and one whose write alone is refused reports a write."""
        rng = random.Random(6)
        for mask, value in (CLASSES["atomic"], CLASSES["compare and swap"], CLASSES["compare and swap pair"]):
            for _ in range(600):
                word = rng.getrandbits(32) & ~mask | value
                access = decode(word)
                if access is None or access.kind is not Kind.ATOMIC:
                    continue
                readable = rng.random() < 0.5
                x = [(READ_ONLY if readable else READ_ONLY + PAGE) + 16 * rng.randrange(255)] * 31
                got = stage2.run(word, x, x[0])
                assert got.exception == DATA_ABORT
                assert iss(access, got.syndrome & 0x3F, wnr=readable, stage2=True) == got.syndrome & 0x1FFFFFF

    @pytest.mark.parametrize("size", range(4))
    @pytest.mark.parametrize("pair", [False, True])
    def test_store_exclusive(self, stage2: Processor, size: int, pair: bool) -> None:
        """A store-exclusive after its load-exclusive aborts as a write, without a description of the register."""
        if pair and size < 2:
            return
        shape = size << 30 | (0x0820_0000 if pair else 0x0800_0000)
        x = [READ_ONLY + 0x40] * 31
        assert stage2.run(shape | 0x5F0000 | 3 << 10 | 1 << 5 | 2, x, 0).exception is None
        store = shape | 4 << 16 | 3 << 10 | 1 << 5 | 2
        access = decode(store)
        assert access is not None
        got = stage2.step(store)
        assert (got.exception, got.far) == (DATA_ABORT, READ_ONLY + 0x40)
        assert iss(access, got.syndrome & 0x3F, stage2=True) == got.syndrome & 0x1FFFFFF


class TestUnprivileged:
    """LDTR and STTR are the accesses that count as EL0's."""

    def test_pages_of_el1(self, stage1: Processor) -> None:
        """A page that only EL1 may touch refuses the unprivileged accesses and no other."""
        rng = random.Random(7)
        mask, value = CLASSES["9-bit immediate"]
        for _ in range(2000):
            word = rng.getrandbits(32) & ~mask | value
            access = decode(word)
            if access is None or not access.aborts:
                continue
            x = [DATA.start + PAGE + 16 * rng.randrange(200)] * 31
            got = stage1.run(word, x, x[0])
            assert (got.exception == DATA_ABORT) == access.unprivileged, access


class TestOtherWords:
    """What the decoder takes for no memory access is none."""

    def test_any_word(self, stage2: Processor) -> None:
        """No instruction outside the table aborts; see what is LEFT_OUT."""
        rng = random.Random(8)
        nothing = [READ_ONLY + PAGE] * 31
        tried = 0
        while tried < 6000:
            word = rng.getrandbits(32)
            if decode(word) is not None or any(word & mask == value for mask, value in LEFT_OUT):
                continue
            tried += 1
            assert stage2.run(word, nothing, nothing[0]).exception in (None, UNDEFINED), hex(word)


class Model:
    """Registers and memory as the decoder predicts them."""

    def __init__(self, x: list[int], sp: int, v: list[int], memory: bytes) -> None:
        self.x, self.sp, self.v, self.memory = list(x), sp, list(v), bytearray(memory)

    def execute(self, access: MemoryAccess) -> None:
        start = address(access, self.x, self.sp, CODE)
        new_base = writeback(access, self.x, self.sp) if access.writeback else None
        stored = list(self.x)
        for element in elements(access, start):
            at = slice(element.address - DATA.start, element.address - DATA.start + element.size)
            if access.is_write and element.fp:
                self.memory[at] = vector_store_value(element, self.v[element.register]).to_bytes(element.size, "little")
            elif access.is_write:
                value = store_value(access._replace(size=element.size), stored, element.register)
                self.memory[at] = value.to_bytes(element.size, "little")
            else:
                self.load(access, element, int.from_bytes(self.memory[at], "little"))
        if new_base is not None:
            self.set(access.rn, new_base, is_sp=True)

    def load(self, access: MemoryAccess, element: Element, value: int) -> None:
        if element.fp:
            self.v[element.register] = emulate_vector_load(access, element, self.v[element.register], value)
        else:
            self.set(element.register, emulate_load(access, value))

    def set(self, register: int, value: int, is_sp: bool = False) -> None:
        if register == 31:
            self.sp = value if is_sp else self.sp
        else:
            self.x[register] = value


class TestResults:
    """What an access does to registers and memory is what Unicorn does."""

    @pytest.mark.parametrize("name", [name for name in CLASSES if name != "SYS by address"])
    def test_result(self, stage2: Processor, name: str) -> None:
        """Loads, stores, pairs, structures, writeback: every register and byte afterwards."""
        rng = random.Random(name)
        mask, value = CLASSES[name]
        v = stage2.set_vectors(rng)
        compared = 0
        while compared < 200:
            word = rng.getrandbits(32) & ~mask | value
            target = DATA.start + PAGE + rng.randrange(0, 3 * PAGE) & -16
            if name == "literal":
                word = word & ~0x00FFFFE0 | (target - CODE) // 4 << 5
            access = decode(word)
            if access is None or clash(access) or (access.exclusive and access.is_write):
                continue
            x, sp = [rng.getrandbits(64) for _ in range(31)], rng.getrandbits(64)
            aimed = aim(access, x, sp, target)
            if aimed is None:
                continue
            x, sp = aimed
            memory = rng.randbytes(5 * PAGE)
            stage2.uc.mem_write(DATA.start, memory)
            model = Model(x, sp, v, memory)
            assert stage2.run(word, x, sp).exception is None, access
            if access.kind is Kind.ATOMIC:
                self.only_where(stage2, access, model)
            else:
                model.execute(access)
                assert stage2.registers() == (model.x, model.sp, model.v), access
                assert stage2.uc.mem_read(DATA.start, 5 * PAGE) == model.memory, access
            compared += 1

    def only_where(self, processor: Processor, access: MemoryAccess, model: Model) -> None:
        """An atomic returns the old value, and changes nothing outside its elements and its result registers."""
        start = address(access, model.x, model.sp, CODE) - DATA.start
        after = processor.uc.mem_read(DATA.start, 5 * PAGE)
        assert after[:start] == model.memory[:start]
        assert after[start + access.total :] == model.memory[start + access.total :]
        swap = access.name.startswith("CAS")
        result = access.rs if swap else access.rt
        x, sp, _ = processor.registers()
        for n in range(access.pieces):
            old = model.memory[start + n * access.size : start + (n + 1) * access.size]
            model.set(result + n, emulate_load(access, int.from_bytes(old, "little")))
        assert (x, sp) == (model.x, model.sp), access


def clash(access: MemoryAccess) -> bool:
    """CONSTRAINED UNPREDICTABLE: the base is also transferred and written back, or a pair loads one register twice."""
    general = () if access.fp else (access.rt, access.rt2)[: access.pieces]
    doubled = len(general) == 2 and general[0] == general[1] and not access.is_write
    return doubled or (access.writeback and access.rn != 31 and access.rn in general)


def aim(access: MemoryAccess, x: list[int], sp: int, target: int) -> tuple[list[int], int] | None:
    """The registers changed so that the access starts at ``target``; None where the form does not let us."""
    x, place = list(x), access.rt if access.mode is Mode.VALUE else access.rn
    if (access.mode, place) == (Mode.VALUE, 31) or (access.mode is Mode.REGISTER and access.rm == access.rn != 31):
        return None
    if place == 31:
        return x, (sp + target - address(access, x, sp, CODE)) & U64
    x[place] = (x[place] + target - address(access, x, sp, CODE)) & U64
    return x, sp
