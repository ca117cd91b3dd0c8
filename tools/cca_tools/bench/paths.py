"""The rows of the benchmark, in the order of its table: each family has a module, each row is one function there."""

from collections.abc import Sequence

from cca_tools.bench import bare, calls, devices, door, loops, processes, realms, traces
from cca_tools.bench.rig import DATA_PAGE, HOST_CALL, PAGE, RAM, Bench
from cca_tools.bench.rows import SHARE, Row

__all__ = ["ROWS"]


def _share(bench: Bench, words: Sequence[int]) -> float:
    """The speed of a Realm's code as a part of what Unicorn alone does in the same run."""
    realm = bench.entries(loops.call_forever(HOST_CALL, words))
    return 100 * bare.best(words) / realm.cpu


def _arithmetic(bench: Bench) -> float:
    return _share(bench, loops.arithmetic(1_000_000))


def _load_store(bench: Bench) -> float:
    return _share(bench, loops.load_store(500_000, RAM + DATA_PAGE * PAGE))


ROWS = (
    *calls.ROWS,
    *realms.ROWS,
    *devices.ROWS,
    *door.ROWS,
    Row("arithmetic", "straight-line Realm code", SHARE, 80, 95, _arithmetic),
    Row("load-store", "load/store-heavy Realm code", SHARE, 80, 95, _load_store),
    *traces.ROWS,
    *processes.ROWS,
)
