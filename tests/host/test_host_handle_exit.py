"""What the host does with each REC exit."""

import pytest
from host_code import SHARED, report

from cca_arch.rmi.v1_0 import RecExitReason, Rmi, RmiRipas
from cca_arch.rsi.v1_0 import Rsi
from cca_host.kvm import Failure, HostCall, Idle, Interrupted, Mmio
from cca_host.kvmtool.layout import RAM_BASE


class TestHostCall:
    """RSI_HOST_CALL goes to the VMM and back."""

    def test_round_trip(self, code, start):
        """The Realm's values arrive, and the VMM's answer arrives in the Realm."""
        code.mov(10, 0x1122).mov(11, (1 << 64) - 1)
        report(code, 10, 11)
        code.load(12, 20, 8)
        report(code, 12).loop()
        vcpu = start(code)
        call = vcpu.run()
        assert isinstance(call, HostCall)
        assert (call.imm, call.gprs[1], call.gprs[2]) == (7, 0x1122, (1 << 64) - 1)
        vcpu.host_call_status(0xCAFE)
        assert vcpu.run().gprs[1] == 0xCAFE

    def test_all_registers(self, code, start):
        """A full answer replaces all 31 values."""
        report(code)
        code.load(12, 20, 8 + 8 * 30)
        report(code, 12).loop()
        vcpu = start(code)
        vcpu.run()
        vcpu.host_call_result(list(range(100, 131)))
        assert vcpu.run().gprs[1] == 130


class TestMemory:
    """RAM is backed when it is touched."""

    def test_protected(self, code, start):
        """A protected page appears zeroed at its first touch, by one more granule, and keeps what is written."""
        page = RAM_BASE + 0x20_0000
        code.mov(1, page).load(10, 1).mov(2, 0x5A5A).store(2, 1, 8).load(11, 1, 8)
        report(code, 10, 11).loop()
        vcpu = start(code)
        assert page not in vcpu.vm.stage2.data
        assert vcpu.run().gprs[1:3] == [0, 0x5A5A]
        assert page in vcpu.vm.stage2.data

    def test_fetch(self, code, start):
        """A page that is only fetched from is backed too; zeroes are undefined instructions, so the vector loops."""
        code.mov(1, RAM_BASE + 0x10_0000).word(0xD61F_0020)  # br x1
        vcpu = start(code)
        vcpu.vm.system.pe.host_timer(vcpu.vm.system.machine.clock.now + 1000)
        assert isinstance(vcpu.run(), (Interrupted, Failure))
        assert RAM_BASE + 0x10_0000 in vcpu.vm.stage2.data

    def test_shared(self, code, start):
        """A page of RAM seen through the shared bit is the host's own: it sees what the Realm wrote there."""
        page = RAM_BASE + 0x3000
        code.mov(1, page | SHARED).mov(2, 0x1234_5678).store(2, 1)
        report(code).loop()
        vcpu = start(code)
        vcpu.run()
        assert vcpu.vm.system.port.read64(vcpu.vm.stage2.shared[page]) == 0x1234_5678

    def test_no_memory(self, code, start):
        """A protected IPA outside RAM has RIPAS EMPTY: the Realm gets the abort, the host hears nothing."""
        code.mov(1, 0x1000).load(2, 1)
        vcpu = start(code)
        vcpu.vm.system.pe.host_timer(vcpu.vm.system.machine.clock.now + 1000)
        vcpu.run()
        assert 0x1000 not in vcpu.vm.stage2.data

    def test_destroyed(self, code, start):
        """A page that the host destroyed cannot be repaired: the report names the IPA and its RIPAS."""
        page = RAM_BASE + 0x2000
        code.mov(9, page).load(2, 9)
        report(code, 2)
        code.load(2, 9).loop()
        vcpu = start(code)
        vcpu.run()
        vcpu.vm.stage2.destroy_data(page, page + 0x1000)
        end = vcpu.run()
        assert isinstance(end, Failure)
        assert "vCPU 0: the Realm touched IPA 0x80002000, which is mapped with RIPAS DESTROYED" in end.message


class TestMmio:
    """An access to an unprotected IPA without memory is the VMM's."""

    def test_write(self, code, start):
        """The VMM gets address without shared bit, size and value; the Realm goes on after the store."""
        code.mov(1, SHARED | 0x100_0000).mov(2, 0x1_41).word(0x3900_0C22)  # strb w2, [x1, #3]
        report(code, 1).loop()
        vcpu = start(code)
        assert vcpu.run() == Mmio(0x100_0003, 1, True, 0x41)
        vcpu.mmio_result()
        assert isinstance(vcpu.run(), HostCall)

    @pytest.mark.parametrize(
        ("opcode", "size"), [(0x3940_0022, 1), (0x7940_0022, 2), (0xB940_0022, 4), (0xF940_0022, 8)]
    )
    def test_read(self, code, start, opcode, size):
        """A read gets the VMM's value, cut to its size."""
        code.mov(1, SHARED | 0x100_0000).word(opcode)
        report(code, 2).loop()
        vcpu = start(code)
        assert vcpu.run() == Mmio(0x100_0000, size, False, 0)
        vcpu.mmio_result(0x8877_6655_4433_2211)
        assert vcpu.run().gprs[1] == 0x8877_6655_4433_2211 & (1 << 8 * size) - 1

    def test_abort(self, code, start):
        """Where there is no device the Realm takes an external abort."""
        code.mov(1, RAM_BASE + 0x800).word(0xD518_C001)  # msr vbar_el1, x1
        code.mov(1, SHARED | 0x200_0000).load(2, 1).loop()
        handler = type(code)().word(0xD538_520A)  # mrs x10, esr_el1
        report(handler, 10).loop()
        code.words += [0xD503_201F] * (0xA00 // 4 - len(code.words)) + handler.words
        vcpu = start(code)
        assert isinstance(vcpu.run(), Mmio)
        vcpu.abort()
        assert vcpu.run().gprs[1] & 0xFC00_003F == 0x25 << 26 | 0x10


class TestRipasChange:
    """The host applies what the Realm asks for RAM, and refuses RAM where there is none."""

    def test_empty_and_back(self, code, start):
        """Making a page EMPTY gives its granule back; making it RAM again gives a zeroed page."""
        page = RAM_BASE + 0x4000
        code.mov(9, page).mov(8, 77).store(8, 9)
        code.smc(Rsi.IPA_STATE_SET, page, page + 0x1000, RmiRipas.EMPTY, 0).word(0xAA00_03EA, 0xAA01_03EB)
        report(code, 10, 11)
        code.smc(Rsi.IPA_STATE_SET, page, page + 0x1000, RmiRipas.RAM, 1).mov(9, page).load(10, 9)
        report(code, 10).loop()
        vcpu = start(code)
        assert vcpu.run().gprs[1:3] == [0, page + 0x1000]
        assert page not in vcpu.vm.stage2.data
        assert vcpu.run().gprs[1] == 0

    def test_whole_memory(self, code, start):
        """A change of all RAM to what it is already, as Linux makes it, completes."""
        top = RAM_BASE + (4 << 20)
        code.smc(Rsi.IPA_STATE_SET, RAM_BASE, top, RmiRipas.RAM, 0).word(0xAA00_03EA, 0xAA01_03EB, 0xAA02_03EC)
        report(code, 10, 11, 12).loop()
        assert start(code).run().gprs[1:4] == [0, top, 0]

    def test_refused(self, code, start):
        """RAM where the VM has no memory is rejected: nothing changes."""
        code.smc(Rsi.IPA_STATE_SET, 0x1000, 0x2000, RmiRipas.RAM, 0).word(0xAA00_03EA, 0xAA01_03EB, 0xAA02_03EC)
        report(code, 10, 11, 12).loop()
        assert start(code).run().gprs[1:4] == [0, 0x1000, 1]

    @pytest.mark.parametrize("ripas", [RmiRipas.RAM, RmiRipas.EMPTY])
    @pytest.mark.parametrize(
        ("first", "last", "held"),
        [
            (0, 1, True), (1023, 1024, True), (1024, 1032, True), (1020, 1028, True), (1031, 1032, True),
            (-1, 1, False), (-2, 0, False), (1032, 1033, False), (1031, 1033, False), (0, 2048, False),
            (1020, 2040, False), (2047, 2049, False), (2048, 2056, True), (2056, 2057, False), (2055, 2057, False),
        ],
    )  # fmt: skip
    def test_edges(self, code, start, system, first, last, held, ripas):
        """RAM up to the edges of the memory and no page beyond, in each slot; EMPTY anywhere. The RTT tells."""
        base, top = (RAM_BASE + page * 0x1000 for page in (first, last))
        if ripas == RmiRipas.EMPTY and first < 2 <= last + 1:
            base, top = base - 0x4000, RAM_BASE  # not the code itself
        code.smc(Rsi.IPA_STATE_SET, base, top, ripas, 0).word(0xAA00_03EA, 0xAA01_03EB, 0xAA02_03EC)
        report(code, 10, 11, 12).loop()
        vcpu = start(code)
        vm = vcpu.vm
        vm.add_memory(RAM_BASE + (4 << 20), 0x8000)  # the next page on
        vm.add_memory(RAM_BASE + (8 << 20), 0x8000)  # behind a hole
        before = ripas_of(vm, top - 0x1000)
        x0, reached, response = vcpu.run().gprs[1:4]
        assert x0 == 0
        if ripas == RmiRipas.EMPTY or held:
            assert (response, ripas_of(vm, reached - 0x1000)) == (0, ripas)
            assert base < reached <= top
        else:
            assert (reached, response, ripas_of(vm, top - 0x1000)) == (base, 1, before)


def ripas_of(vm, ipa):
    """The RIPAS that the RTT has."""
    return vm.system.rmi(Rmi.RTT_READ_ENTRY, vm.rd, ipa, 3)[4]


class TestWaiting:
    """A vCPU that waits gives the PE back, and an endless one is interrupted."""

    def test_wfi(self, code, start):
        """WFI with no timer has no end, and goes on after the instruction."""
        code.wfi()
        report(code).loop()
        vcpu = start(code)
        assert vcpu.run() == Idle(None)
        assert isinstance(vcpu.run(), HostCall)

    def test_wfi_with_timer(self, code, start):
        """WFI with the virtual timer armed ends when that fires."""
        code.mov(1, 1 << 40).word(0xD51B_E341).mov(1, 1).word(0xD51B_E321)  # msr cntv_cval_el0, cntv_ctl_el0
        assert start(code.wfi().loop()).run() == Idle(1 << 40)

    def test_slice(self, code, start, system):
        """The host's timer ends an endless loop with an IRQ exit, to the instruction."""
        vcpu = start(code.loop())
        now = system.machine.clock.now
        system.pe.host_timer(now + 5000)
        assert vcpu.run() == Interrupted()
        assert vcpu.exits == {RecExitReason.IRQ: 1}
        assert now + 5000 <= system.machine.clock.now < now + 5100
