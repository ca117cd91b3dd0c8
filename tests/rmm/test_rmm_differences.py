"""Where this RMM follows the specification and TF-RMM does not (docs/differences.md), if no other test shows it."""

from collections.abc import Callable
from typing import Any

import pytest
from exit_records import UNPROTECTED
from realm_code import CALL, REPORT, load, reported, smc
from rmm_host import PAGE, RAM

from cca_arch.psci import Psci, PsciStatus
from cca_arch.rmi.v1_0 import RecEnterFlags, RecExitReason, Rmi, RmiRipas, RmiStatus
from cca_arch.rsi.v1_0 import Rsi
from cca_arch.smccc import REGISTER_MASK

Running = Callable[..., Any]
INPUT = (RmiStatus.ERROR_INPUT, 0)


class TestPsciComplete:
    """RMI_PSCI_COMPLETE."""

    def test_refused(self, host: Any, realm: Any, assemble: Any) -> None:
        """A command that fails changes nothing: after DENIED for a target that is on, the request is still pending."""
        realm.write(RAM, assemble(f"{smc(Psci.CPU_ON_64, 1, RAM, 0)}; {REPORT}"))
        realm.write(CALL, b"")
        realm.rec()
        realm.rec()
        realm.activate()
        assert realm.enter().exit_reason == RecExitReason.PSCI
        for _ in range(2):
            assert host.status(Rmi.PSCI_COMPLETE, *realm.recs, PsciStatus.DENIED) == INPUT
            assert host.status(Rmi.REC_ENTER, realm.recs[0], realm.prepare()) == (RmiStatus.ERROR_REC, 0)
        host.ok(Rmi.PSCI_COMPLETE, *realm.recs, PsciStatus.SUCCESS)
        assert reported(realm.enter())[0] == PsciStatus.ALREADY_ON & REGISTER_MASK

    def test_upper_half_of_the_function(self, host: Any, realm: Any, assemble: Any) -> None:
        """A function is named by 32 bits: what the Realm has in the upper half of X0 plays no part."""
        fid = 0x1234_5678 << 32 | Psci.CPU_ON_64
        realm.write(RAM, assemble(f"{smc(fid, 1, RAM, 0)}; {REPORT}"))
        realm.write(CALL, b"")
        realm.rec()
        realm.rec(flags=0)
        realm.activate()
        assert realm.enter().gprs[0] == Psci.CPU_ON_64
        host.ok(Rmi.PSCI_COMPLETE, *realm.recs, PsciStatus.SUCCESS)
        assert reported(realm.enter())[0] == PsciStatus.SUCCESS

    def test_smc32(self, running: Running) -> None:
        """A call by SMC32 has 32-bit arguments."""
        realm = running(f"{smc(Psci.AFFINITY_INFO, 7 << 32, 5 << 32)}; {REPORT}")
        assert reported(realm.enter())[0] == PsciStatus.SUCCESS


class TestEnter:
    """RMI_REC_ENTER."""

    def test_inject_sea_alone(self, running: Running) -> None:
        """The flag has an effect after a Data Abort at an Unprotected IPA, and is no failure otherwise."""
        realm = running(f"{REPORT}; mov x3, #9; {REPORT}")
        realm.enter()
        assert reported(realm.enter(flags=RecEnterFlags.make(inject_sea=1)))[3] == 9

    def test_both_flags(self, running: Running, host: Any) -> None:
        """Without an access that can be emulated, emul_mmio is refused, together with inject_sea, too."""
        realm = running(f"{REPORT}; {REPORT}")
        realm.enter()
        flags = RecEnterFlags.make(inject_sea=1, emul_mmio=1)
        refused = host.status(Rmi.REC_ENTER, realm.recs[0], realm.prepare(flags=flags))
        assert refused == (RmiStatus.ERROR_REC, 0)

    def test_interrupt_register(self, running: Running) -> None:
        """The Host sees the value that the Realm wrote, not the register that held it."""
        realm = running(f"{load('x21', 0x10002)}; msr s3_0_c12_c11_5, x21; {REPORT}")
        exit = realm.enter()
        assert (exit.exit_reason, exit.esr >> 26, exit.gprs[0]) == (RecExitReason.SYNC, 0x18, 0x10002)
        assert not exit.esr & 0x1F << 5


class TestHostCall:
    """RSI_HOST_CALL."""

    def test_imm(self, running: Running) -> None:
        """``imm`` has 16 bits."""
        realm = running(f"{load('x20', CALL)}; {load('x2', 0x1234_5678)}; str x2, [x20]; {smc(Rsi.HOST_CALL, CALL)}")
        assert realm.enter().imm == 0x5678

    def test_empty_at_completion(self, host: Any, realm: Any, assemble: Any) -> None:
        """A structure that another vCPU has made EMPTY by then is not written, and the call succeeds."""
        page = RAM + 2 * PAGE
        call = f"{smc(Rsi.HOST_CALL, page)}; mov x3, x0; {REPORT}"
        realm.write(RAM, assemble(f"{call} @0x400: {smc(Rsi.IPA_STATE_SET, page, page + PAGE, RmiRipas.EMPTY, 0)}"))
        realm.write(CALL, b"")
        realm.write(page, b"")
        realm.rec()
        realm.rec(pc=RAM + 0x400)
        realm.activate()
        realm.enter()
        assert realm.enter(1).exit_reason == RecExitReason.RIPAS_CHANGE
        host.ok(Rmi.RTT_SET_RIPAS, realm.rd, realm.recs[1], page, page + PAGE)
        assert reported(realm.enter())[3] == 0
        assert host.peek.read(realm.data[page], PAGE) == bytes(PAGE)


class TestCommands:
    """Failure conditions."""

    def test_num_aux(self, realm: Any, host: Any) -> None:
        """The number of auxiliary granules has 64 bits."""
        rec, params, _ = realm.rec_params(num_aux=1 << 32 | 2)
        assert host.status(Rmi.REC_CREATE, realm.rd, rec, params) == INPUT

    @pytest.mark.parametrize("command", [Rmi.RTT_MAP_UNPROTECTED, Rmi.RTT_UNMAP_UNPROTECTED])
    def test_above_the_starting_level(self, realms: Callable[..., Any], host: Any, command: Rmi) -> None:
        """A level above that at which the walk starts is refused."""
        realm = realms(s2sz=33, rtt_level_start=2, rtt_num_start=8)
        page = host.page()
        assert host.status(command, realm.rd, UNPROTECTED & -(1 << 30), 1, page & -(1 << 30)) == INPUT

    def test_misaligned_top(self, running: Running, host: Any) -> None:
        """RTT_SET_RIPAS takes whole granules."""
        base = RAM + 4 * PAGE
        realm = running(f"{smc(Rsi.IPA_STATE_SET, base, base + 2 * PAGE, 1, 0)}; {REPORT}")
        realm.enter()
        assert host.status(Rmi.RTT_SET_RIPAS, realm.rd, realm.recs[0], base, base + PAGE + 8) == INPUT
