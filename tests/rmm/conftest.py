"""A booted machine with a Host in Python that issues RMI commands by SMC and builds Realms by hand."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rmm_host import PAGE, RAM, Host, Realm, machine_host, to_code

from cca_arch.rmi.v1_0 import Rmi


@pytest.fixture
def assemble() -> Callable[[str], bytes]:
    """AArch64 machine code from assembly."""
    return to_code


@pytest.fixture(scope="session")
def booted() -> Iterator[Host]:
    """One machine for all tests."""
    yield machine_host()


@pytest.fixture(scope="session")
def fresh(booted: Host) -> Any:
    """The state right after boot."""
    return booted.machine.snapshot()


@pytest.fixture
def host(booted: Host, fresh: Any) -> Host:
    """A Host on a machine that has just booted."""
    booted.machine.restore(fresh)
    return Host(booted.machine, booted.rmm)


@pytest.fixture
def realm(host: Host) -> Realm:
    """A NEW Realm with a level 3 table at RAM."""
    return Realm(host)


@pytest.fixture
def realms(host: Host) -> Callable[..., Realm]:
    """Makes Realms with the parameters given."""
    return lambda **params: Realm(host, **params)


@pytest.fixture
def running(host: Host) -> Callable[[str], Realm]:
    """Makes an ACTIVE Realm with one REC whose code is the assembly given; two more pages of RAM follow.

    ``block`` is the IPA of 2 MiB of contiguous pages, each starting with 0x55AA.
    """

    def build(source: str, block: int | None = None, **rec: Any) -> Realm:
        realm = Realm(host)
        if block is not None:
            realm.table(block, 3)
            pages, page = host.granules(512, 512 * PAGE), host.page(b"\xaa\x55")
            for number in range(512):
                host.ok(Rmi.DATA_CREATE, realm.rd, pages + number * PAGE, block + number * PAGE, page, 0)
        realm.write(RAM, to_code(source))
        realm.write(RAM + PAGE, b"")
        realm.write(RAM + 2 * PAGE, b"")
        realm.rec(**rec)
        realm.activate()
        return realm

    return build
