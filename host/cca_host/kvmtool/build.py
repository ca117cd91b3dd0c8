"""Building a Realm for a payload: checks of its options, and construction in the order of measurement."""

from collections.abc import Iterator, Sequence
from typing import Final

from cca_arch.devicetree import Node, cells, flatten
from cca_arch.rmi.v1_0 import mpidr_of
from cca_arch.types import GRANULE_SIZE
from cca_host.kvm.uapi import HASH_ALGORITHMS, Kernel, must_be_plain, must_be_realm
from cca_host.kvmtool.devicetree import realm_tree, seeds
from cca_host.kvmtool.door import Door
from cca_host.kvmtool.layout import DISTRIBUTOR_BASE, DTB_SIZE, MIN_MEMORY, RAM_BASE, dtb_base, redistributor_base
from cca_host.kvmtool.loader import Image, Segment
from cca_host.kvmtool.options import RunOptions
from cca_platform.board import Board
from cca_platform.errors import MachineError

__all__ = ["MIN_LIMIT", "check", "check_alone", "fill_vm", "make_tree", "open_vm"]

MIN_LIMIT: Final = 2 << 20
"""The least memory limit, in bytes."""

_RUN: Final = 64 * GRANULE_SIZE  # what is loaded in one piece, at most
_CONDUIT = {True: "smc", False: "hvc"}
"""How the software calls PSCI: the RMM takes a Realm's SMCs; KVM tells a plain VM to use HVC, and takes both."""


def check(options: RunOptions, system: Kernel) -> None:
    """Check the options before anything is built; raises MachineError. Vm checks the limits of a Realm."""
    check_alone(options, system.machine.board)
    if options.realm and options.vcpus > system.max_vcpus:
        raise MachineError(
            f"a Realm must have at most {system.max_vcpus} vCPUs, not {options.vcpus}: use fewer `vcpus`"
        )


def check_alone(options: RunOptions, board: Board) -> None:
    """Check what can be told without an RMM; raises MachineError."""
    if options.vcpus < 1:
        raise MachineError(f"a Realm must have at least one vCPU, not {options.vcpus}: give `vcpus` 1 or more")
    for index in options.deny_cpu_on:
        if not 0 <= index < options.vcpus:
            raise MachineError(f"`deny_cpu_on` must name vCPUs 0 to {options.vcpus - 1}, not {index}")
    memory, dram = options.memory, sum(bank.size for bank in board.ns_banks())
    if memory < 1 << 10:
        raise MachineError(
            f"`memory` must be at least {MIN_MEMORY >> 20}M, not {memory} bytes: write M after a number of MiB"
        )
    if memory % GRANULE_SIZE:
        raise MachineError(f"`memory` must be a multiple of 4 KiB, not {memory} bytes: round it up")
    if memory < MIN_MEMORY:
        raise MachineError(f"`memory` must be at least {MIN_MEMORY >> 20}M, not {memory >> 10}K: give more `memory`")
    if memory > dram:
        raise MachineError(
            f"`memory` must be at most {dram >> 20}M, the Non-secure DRAM of the board, not {memory >> 20}M"
        )
    if not options.realm and (options.rpv or options.pmu_counters is not None):
        raise MachineError("a plain VM has no `rpv` and no `pmu_counters`: leave them out, or run it in a Realm")
    if not options.realm and options.memory_limit is not None:
        raise MachineError("a plain VM has no `memory_limit`: leave it out, or run it in a Realm")
    _check_limit(options.memory_limit, options.swap)
    if options.max_insns is not None and options.max_insns < 1:
        raise MachineError(f"`max_insns` must be 1 or more, not {options.max_insns}")


def _check_limit(limit: int | None, swap: object) -> None:
    if limit is None:
        if swap is not None:
            raise MachineError("`swap` must go with `memory_limit`, which says when pages go there")
        return
    if swap is None:
        raise MachineError("`memory_limit` must go with `swap`, the file for what is more")
    if limit % GRANULE_SIZE or limit < MIN_LIMIT:
        what = f"at least {MIN_LIMIT >> 20}M, and a multiple of 4 KiB"
        raise MachineError(f"`memory_limit` must be {what}, not {limit} bytes")


def open_vm(system: Kernel, options: RunOptions) -> Door:
    """A process with a VM: a plain one, or a Realm that is created, without contents."""
    ram, width = (RAM_BASE, options.memory), options.ipa_width
    if not options.realm:
        must_be_plain(width, ram)
        return Door.open(system, False, width, *ram)
    must_be_realm(system, width, options.hash_algo, options.rpv, options.pmu_counters, ram)
    door = Door.open(system, True, width, *ram)
    try:
        door.configure(HASH_ALGORITHMS[options.hash_algo], options.rpv, options.pmu_counters)
        door.create()
        if options.memory_limit is not None:
            door.limit(options.memory_limit, str(options.swap))
    except BaseException:
        door.exit()
        raise
    return door


def make_tree(options: RunOptions, devices: Sequence[Node], initrd: Segment | None = None) -> bytes:
    """The device tree of the Realm, with the arguments; raises MachineError if they are too long for its place.

    ``devices`` are the nodes of the device table.
    """
    mpidrs = [int(mpidr_of(index)) for index in range(options.vcpus)]
    has_pmu = options.pmu_counters is not None
    given = {} if initrd is None else {"linux,initrd-start": cells(initrd.base), "linux,initrd-end": cells(initrd.top)}
    chosen = {"bootargs": " ".join(options.args), **given, **seeds(options.seed)}
    tree = flatten(realm_tree(options.memory, mpidrs, chosen, devices, has_pmu, _CONDUIT[options.realm]))
    if len(tree) > DTB_SIZE:
        raise MachineError(
            f"`args` must fit with the device tree into {DTB_SIZE >> 20} MiB, not {len(tree) - DTB_SIZE} bytes too "
            "much: shorten them"
        )
    return tree


def fill_vm(door: Door, options: RunOptions, image: Image, tree: bytes) -> None:
    """Fill the VM: RIPAS, image and device tree (measured, in address order), vCPUs, activation."""
    dtb = dtb_base(options.memory)
    door.add_memory()
    if options.realm:
        door.init_ripas()
        _load(door, image, dtb, tree)
    door.create_gic(DISTRIBUTOR_BASE, redistributor_base(options.vcpus))
    door.create_vcpus(options.vcpus, image.entry, [dtb])
    if not options.realm:
        _load(door, image, dtb, tree)
    for index in options.deny_cpu_on:
        door.vcpus[index].cpu.deny_on = True


def _load(door: Door, image: Image, dtb: int, tree: bytes) -> None:
    for ipa, contents in _runs(image):
        door.load(ipa, contents)
    door.load(dtb, tree)


def _runs(image: Image) -> Iterator[tuple[int, bytearray]]:
    """The pages of an image, those that follow one another in one piece."""
    start, contents = 0, bytearray()
    for ipa, page in image.pages():
        if contents and (ipa != start + len(contents) or len(contents) >= _RUN):
            yield start, contents
            contents = bytearray()
        if not contents:
            start = ipa
        contents += page
    if contents:
        yield start, contents
