"""What takes long on hardware takes virtual time here, by the one table."""

from typing import Any

import pytest
from rmm_host import PAGE, RAM, Host, Realm

from cca_arch.rmi.v1_0 import HashAlgorithm, Rmi
from cca_rmm import costs

SHA_256, SHA_512 = HashAlgorithm.SHA_256, HashAlgorithm.SHA_512
MILLISECOND = 1_000_000


def spent(host: Host, *call: Any) -> int:
    """The nanoseconds that a command takes."""
    clock = host.machine.clock
    before = clock.now
    host.ok(*call)
    return (clock.now - before) * 1_000_000_000 // clock.counter_hz


class TestCosts:
    """The commands of the Host."""

    def test_order(self) -> None:
        """A signature takes milliseconds, a slice of it no more than a Host's timer; a page takes microseconds."""
        assert 3 * MILLISECOND <= costs.SIGN_SLICES * costs.SIGN_SLICE <= 20 * MILLISECOND
        assert costs.SIGN_SLICE < MILLISECOND
        assert 100 <= costs.SCRUB < costs.HASH_PAGE[SHA_256] < costs.HASH_PAGE[SHA_512] < 50_000

    def test_scrub(self, host: Host) -> None:
        """A granule is scrubbed when it is delegated and when an object gives it back, not when the Host gets it."""
        pa = host.page()
        assert spent(host, Rmi.GRANULE_DELEGATE, pa) == costs.SCRUB
        assert spent(host, Rmi.GRANULE_UNDELEGATE, pa) == 0

    @pytest.mark.parametrize("algorithm", [SHA_256, SHA_512])
    def test_hash(self, realms: Any, host: Host, algorithm: HashAlgorithm) -> None:
        """A measured page costs its hash, one that is not measured only the extension of the RIM."""
        realm: Realm = realms(hash_algo=algorithm)
        first, second, page = host.granules(), host.granules(), host.page()
        extend = costs.EXTEND[algorithm]
        assert spent(host, Rmi.DATA_CREATE, realm.rd, first, RAM, page, 0) == extend
        got = spent(host, Rmi.DATA_CREATE, realm.rd, second, RAM + PAGE, page, 1)
        assert got == extend + costs.HASH_PAGE[algorithm]

    @pytest.mark.parametrize(("runnable", "hashes"), [(1, 1), (0, 0)])
    def test_rec(self, realm: Realm, host: Host, runnable: int, hashes: int) -> None:
        """The parameters of a REC are a page to hash, if it is runnable: else it is not measured."""
        rec, params, _ = realm.rec_params(flags=runnable)
        got = spent(host, Rmi.REC_CREATE, realm.rd, rec, params)
        assert got == hashes * (costs.HASH_PAGE[SHA_256] + costs.EXTEND[SHA_256])

    def test_destroy(self, realm: Realm, host: Host) -> None:
        """A Realm and its RECs give their granules back scrubbed, each at its price."""
        rec = realm.rec()
        assert spent(host, Rmi.REC_DESTROY, rec) == 3 * costs.SCRUB

    def test_refused(self, host: Host) -> None:
        """A command that fails has done no work."""
        clock = host.machine.clock
        before = clock.now
        host.call(Rmi.GRANULE_DELEGATE, 1)
        assert clock.now == before
