"""A Realm that has touched 64 pages gets the RAM around each other page that it touches: aligned blocks of 128 KiB."""

from typing import Any

from host_code import report

from cca_arch.rmi.v1_0 import RecExitReason, RmiRipas
from cca_arch.rsi.v1_0 import Rsi
from cca_host.kvmtool.layout import RAM_BASE

ALONE, BLOCK, PAGE = 64, 0x2_0000, 0x1000
FIRST = RAM_BASE + 0x10_0000
LAST, TOP = RAM_BASE + (4 << 20) - BLOCK, RAM_BASE + (4 << 20)


def touch(code: Any, base: int, count: int = 1) -> Any:
    """A store of its own address to each of ``count`` pages from ``base``."""
    code.mov(1, base).mov(2, count)
    return code.word(0xF900_0021, 0x9140_0421, 0xF100_0442, 0x54FF_FFA1)  # str; add #1 lsl #12; subs; b.ne


def pages(vcpu: Any, base: int = FIRST, top: int = TOP) -> list[int]:
    """The pages that a Realm has between two addresses."""
    return [page for page in vcpu.vm.stage2.data if base <= page < top]


class TestAround:
    """What comes in with a page, and what does not."""

    def test_block(self, code, start):
        """One exit brings in the whole block, zeroed; before, each page takes an exit of its own."""
        touch(code, FIRST, ALONE)
        touch(code, LAST + 0x3000, 29)
        report(code).loop()
        vcpu = start(code)
        vcpu.run()
        assert pages(vcpu) == [*range(FIRST, FIRST + ALONE * PAGE, PAGE), *range(LAST, TOP, PAGE)]
        assert vcpu.exits[RecExitReason.SYNC] == ALONE + 1 + 1  # and the page of the host call
        data, backdoor = vcpu.vm.stage2.data, vcpu.vm.system.machine.memory.backdoor
        assert backdoor.read(data[LAST + 0x2000], PAGE) == bytes(PAGE)
        assert backdoor.read64(data[LAST + 0x3000]) == LAST + 0x3000

    def test_only_ram(self, code, start):
        """What the Realm has made EMPTY and what the host has destroyed stay as they are."""
        given, gone = LAST + 0x3000, LAST + 0x5000
        touch(code, FIRST, ALONE)
        code.smc(Rsi.IPA_STATE_SET, given, given + PAGE, RmiRipas.EMPTY, 0)
        touch(code, gone)
        report(code)
        code.smc(Rsi.IPA_STATE_SET, LAST, LAST + PAGE, RmiRipas.EMPTY, 0)
        code.smc(Rsi.IPA_STATE_SET, LAST, LAST + PAGE, RmiRipas.RAM, 0)
        touch(code, LAST)
        report(code).loop()
        vcpu = start(code)
        vcpu.run()
        there = [page for page in range(LAST, TOP, PAGE) if page != given]
        assert pages(vcpu, LAST) == there
        vcpu.vm.stage2.destroy_data(gone, TOP)
        vcpu.run()
        assert pages(vcpu, LAST) == [page for page in there if page < gone]

    def test_back_to_ram(self, code, start):
        """What the Realm makes RAM again comes in with its neighbours."""
        page = LAST + 0x3000
        code.smc(Rsi.IPA_STATE_SET, page, page + PAGE, RmiRipas.EMPTY, 0)
        code.smc(Rsi.IPA_STATE_SET, page, page + PAGE, RmiRipas.RAM, 1)
        touch(code, FIRST, ALONE)
        touch(code, LAST)
        report(code).loop()
        vcpu = start(code)
        vcpu.run()
        assert pages(vcpu, LAST) == [*range(LAST, TOP, PAGE)]

    def test_end_of_memory(self, code, start):
        """Nothing comes in where the VM has no memory."""
        top = LAST + 0x7000
        touch(code, FIRST, ALONE)
        touch(code, LAST)
        report(code).loop()
        vcpu = start(code, memory=top - RAM_BASE)
        vcpu.run()
        assert pages(vcpu, LAST, 1 << 32) == [*range(LAST, top, PAGE)]

    def test_little_left(self, code, start):
        """A host with less than 4 MiB left gives what is touched, and no more."""
        touch(code, FIRST, ALONE)
        touch(code, LAST)
        report(code)
        touch(code, FIRST + 0x10_0000)
        report(code).loop()
        vcpu = start(code)
        held = vcpu.vm.system.pages
        taken = [held.take() for _ in range(held.left - 1024)]
        assert held.left == 1024
        vcpu.run()
        assert pages(vcpu, LAST) == [LAST]
        for page in taken:
            held.give(page)
        vcpu.run()
        assert pages(vcpu, FIRST + 0x10_0000, LAST) == [*range(FIRST + 0x10_0000, FIRST + 0x10_0000 + BLOCK, PAGE)]

    def test_saved(self, code, start):
        """A snapshot has how many pages were touched and where RAM is: what comes after it is the same again."""
        touch(code, FIRST, ALONE - 2)
        report(code)
        touch(code, FIRST + 0x8_0000)
        touch(code, LAST)
        report(code).loop()
        vcpu = start(code)
        vcpu.run()
        machine = vcpu.vm.system.machine
        saved = machine.snapshot()
        vcpu.run()
        there = pages(vcpu)
        machine.restore(saved)
        assert pages(vcpu, FIRST + 0x8_0000) == []
        vcpu.run()
        assert pages(vcpu) == there
        assert pages(vcpu, FIRST + 0x8_0000, LAST) == [FIRST + 0x8_0000]
        assert len(pages(vcpu, LAST)) == BLOCK // PAGE
