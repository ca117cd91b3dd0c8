"""Conditions at the very limit: the last value that is accepted, and the first that is not."""

from rmm_host import PAGE, Host, Realm

from cca_rmm.abi import RecEnterFlags, RecExitReason, Rmi, RmiRecParams, RmiStatus, mpidr_of
from cca_rmm.features import MAX_RECS


class TestLimits:
    """What the registry shows with state written into the RMM's granules, here by commands alone."""

    def test_num_recs(self, conformance_host: Host) -> None:
        """A Realm has 2^MAX_RECS_ORDER - 1 RECs; the next one is RMI_ERROR_REALM, until one is destroyed."""
        host = conformance_host
        before = host.machine.snapshot()
        realm = Realm(host)
        ok, first = host.ok, 0
        for index in range(MAX_RECS + 1):
            rec = host.granules(3)
            aux = (rec + PAGE, rec + 2 * PAGE, *(0,) * 14)
            params = host.page(RmiRecParams.pack(flags=0, mpidr=mpidr_of(index), num_aux=2, aux=aux))
            if index < MAX_RECS:
                ok(Rmi.REC_CREATE, realm.rd, rec, params)
                first = first or rec
        assert host.status(Rmi.REC_CREATE, realm.rd, rec, params) == (RmiStatus.ERROR_REALM, 0)
        ok(Rmi.REC_DESTROY, first)
        ok(Rmi.REC_CREATE, realm.rd, rec, params)
        host.machine.restore(before)

    def test_sea_flag(self, conformance_host: Host) -> None:
        """inject_sea has no effect when the last exit was none that it answers, with emul_mmio or without."""
        host = conformance_host
        before = host.machine.snapshot()
        for flags in (RecEnterFlags.make(inject_sea=1), RecEnterFlags.make(inject_sea=1, emul_mmio=1)):
            realm = Realm(host)
            realm.rec(pc=0x1_0000_0000 - PAGE)  # RIPAS of the code is RAM, and nothing is there
            host.ok(Rmi.RTT_INIT_RIPAS, realm.rd, 0xC000_0000, 0x1_0000_0000)
            realm.activate()
            exit = realm.enter(flags=flags)
            assert (exit.exit_reason, exit.esr) == (RecExitReason.SYNC, 0x20 << 26 | 6)
        host.machine.restore(before)
