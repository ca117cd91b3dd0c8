"""Rows of calls: of the RMM, by a Host in Python or by real code, and of a Realm."""

from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from cca_arch.psci import Psci
from cca_arch.rmi.v1_0 import ABI_VERSION, Rmi
from cca_arch.rsi.v1_0 import Rsi
from cca_tools.bench import loops
from cca_tools.bench.rig import DATA_PAGE, HOST_CALL, PAGE, RAM, Bench
from cca_tools.bench.rows import Row
from cca_tools.bench.took import Took, Watch, best, least

if TYPE_CHECKING:
    from cca_firmware.package.nsimage import NsImage

__all__ = ["ROWS", "ns_each"]

_ENTRIES = 0x9400_0000  # the word that tells ns_enter how many times


def _version_python(bench: Bench) -> Took:
    rmi, fid = bench.machine.host.rmi, int(Rmi.VERSION)
    count = 5000

    def calls() -> None:
        for _ in range(count):
            rmi(fid, ABI_VERSION)

    return best(calls, count)


def _version_real(bench: Bench) -> Took:
    return ns_each(_version_images, 10_000)


def _delegate(bench: Bench) -> Took:
    host = bench.machine.host
    pa, count = host.pages.take(), 2000
    there, back = int(Rmi.GRANULE_DELEGATE), int(Rmi.GRANULE_UNDELEGATE)

    def pairs() -> None:
        for _ in range(count):
            host.rmi(there, pa)
            host.rmi(back, pa)

    try:
        return best(pairs, count)
    finally:
        host.pages.give(pa)


def _rec_enter(bench: Bench) -> Took:
    return bench.entries(loops.call_forever(HOST_CALL), 1000)


def _rec_enter_real(bench: Bench) -> Took:
    return ns_each(_entry_images, 2_000)


def _rsi_version(bench: Bench) -> Took:
    count = 2000
    many = loops.call_many(count, ((0, int(Rsi.VERSION)), (1, ABI_VERSION)))
    return bench.entries(loops.call_forever(HOST_CALL, many)).each(count)


def _token(bench: Bench) -> Took:
    """INIT and the CONTINUE that signs and copies, including the REC entry."""
    continued = ((0, int(Rsi.ATTESTATION_TOKEN_CONTINUE)), (1, RAM + DATA_PAGE * PAGE), (2, 0), (3, PAGE))
    words = [*loops.call(((0, int(Rsi.ATTESTATION_TOKEN_INIT)),)), *loops.call(continued)]
    return bench.entries(loops.call_forever(HOST_CALL, words), 50)


def ns_each(images: "Callable[[int], list[NsImage]]", count: int) -> Took:
    """A round of a program at NS-EL2, from two runs that differ by ``count`` rounds."""
    few, many = (least(_ns_run(images(rounds)) for _ in range(3)) for rounds in (100, count + 100))
    return many.without(few).each(count)


def _version_images(rounds: int) -> "list[NsImage]":
    """Call RMI_VERSION this many times."""
    from cca_firmware.package.nsimage import NsImage

    calls = loops.call_many(rounds, ((0, int(Rmi.VERSION)), (1, ABI_VERSION)))
    return [NsImage(loops.code([*calls, *loops.call_forever(((0, int(Psci.SYSTEM_OFF)),))]))]


def _entry_images(rounds: int) -> "list[NsImage]":
    """The payload that enters a REC, and how many times."""
    from cca_firmware.package.nsimage import NsImage
    from realmlab.payloads import find_payload

    return [NsImage(find_payload("ns_enter").read_bytes()), NsImage(rounds.to_bytes(8, "little"), _ENTRIES)]


def _ns_run(images: "list[NsImage]") -> Took:
    from cca_firmware.boot import boot
    from cca_platform.board import Board
    from cca_platform.machine.machine import Machine as Platform
    from cca_rmm.rmm import Rmm

    with closing(Platform(Board.load("fvp"))) as platform:
        boot(platform, rmm=Rmm(platform), ns_images=images)
        watch = Watch()
        platform.run()
        return watch.took()


ROWS = (
    Row("rmi-version-real", "RMI_VERSION from real NS-EL2 code", "us", (6, 4), (4, 2.5), _version_real),
    Row("rmi-version-python", "RMI_VERSION from the Python host", "us", 10, 4, _version_python),
    Row("delegate", "GRANULE_DELEGATE + UNDELEGATE", "us", (30, 18), (20, 12), _delegate),
    Row("rec-enter", "REC_ENTER, RSI_HOST_CALL, exit", "us", (60, 35), (30, 18), _rec_enter),
    Row("rec-enter-real", "the same from real NS-EL2 code", "us", (60, 35), (30, 18), _rec_enter_real),
    Row("rsi-version", "RSI_VERSION inside a Realm", "us", (4, 2.5), (2, 1), _rsi_version),
    Row("token", "attestation token, complete", "ms", 6, 2, _token),
)
