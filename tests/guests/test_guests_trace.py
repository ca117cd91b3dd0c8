"""What a run tells: every field of the catalogue of the trace comes in some run, with the value that it promises."""

from collections.abc import Iterator
from contextlib import suppress

import pytest
from virtio_driver import Bench, Driver

import realmlab
from cca_arch.extensions import Paging
from cca_arch.fuse import FuseInHeader, FuseOpcode
from cca_arch.sysregs import Fsc
from cca_arch.virtio.net import VirtioNetHdr
from cca_host.kvmtool.layout import RAM_BASE
from cca_host.kvmtool.net.nat import GATEWAY, GATEWAY_MAC, GUEST
from cca_host.kvmtool.net.options import Network
from cca_host.kvmtool.net.packets import EtherType, Protocol, Udp, write_frame, write_ip, write_udp
from cca_host.kvmtool.share.folder import Folder
from cca_host.kvmtool.virtio.fs import VirtioFs
from cca_host.kvmtool.virtio.net import MAC, VirtioNet
from cca_platform.devices.smmu import DmaAborted, DmaPort
from cca_platform.errors import BusError
from cca_platform.trace.events import EVENTS
from cca_platform.trace.trace import Record
from realmlab import Listing, Trace

NOWHERE = 0x100_0000_0000
STREAM = 3


@pytest.fixture(scope="module")
def realms(tmp_path_factory: pytest.TempPathFactory) -> Listing:
    """Realms that use every service, make every fault, take interrupts on two vCPUs, drive devices, and never end."""
    listing, disk = Listing(), tmp_path_factory.mktemp("disk") / "image"
    disk.write_bytes(bytes(4096))
    with realmlab.Machine(trace=Trace(listing), extensions=["paging"]) as machine:
        machine.run_realm("rsi")
        machine.run_realm("faults")
        machine.run_realm("irq", args=("2",), vcpus=2, max_insns=20_000_000)
        machine.run_realm("lost")
        machine.run_realm("virtio", rng=True, disks=disk, transport="mmio")
        page_out_and_in(machine)
    return listing


def page_out_and_in(machine: realmlab.Machine) -> None:
    """A page of a Realm goes out and comes back."""
    realm, host = machine.realm("hello"), machine.host
    rd, page = realm.facts.rd, host.pages.take()
    _, granule, *tag, _ = host.rmi(Paging.PAGE_OUT, rd, RAM_BASE, page)
    host.rmi(Paging.PAGE_IN, rd, granule, RAM_BASE, page, *tag)
    host.pages.give(page)
    realm.destroy()


@pytest.fixture(scope="module")
def plain() -> Listing:
    """A plain VM that makes the host's calls and takes interrupts on two vCPUs."""
    listing = Listing()
    with realmlab.Machine(trace=Trace(listing)) as machine:
        machine.run_realm("irq", realm=False, args=("2",), vcpus=2, max_insns=20_000_000)
    return listing


@pytest.fixture(scope="module")
def worlds() -> Listing:
    """Code at NS-EL2 that reaches for every other world; then what no payload does: devices, DMA, a reset."""
    listing = Listing()
    with realmlab.NsMachine("ns_gpf", trace=Trace(listing)) as machine:
        machine.run(max_insns=10_000_000)
        platform = machine.platform
        with suppress(BusError):
            platform.bus.read(NOWHERE, 4)
        with pytest.raises(DmaAborted):
            DmaPort(platform.bus.devices["smmu"], STREAM).read(platform.board.region("realm_image").base, 4)
        platform.reset("test")
    return listing


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory) -> Listing:
    """Drivers of devices that reach out of the machine."""
    bench = Bench()
    card = Driver(bench, VirtioNet("net", bench.wiring(), bench.memory, Network()))
    card.call(1, bytes(VirtioNetHdr.size) + datagram())
    shared = VirtioFs("fs", bench.wiring(), bench.memory, Folder(tmp_path_factory.mktemp("shared")), "host")
    Driver(bench, shared).call(1, FuseInHeader.pack(len=40, opcode=FuseOpcode.STATFS, nodeid=1), writable=(96,))
    shared.close()
    card.device.close()
    bench.close()
    return bench.events


def datagram() -> bytes:
    """A frame with a datagram for a port of the host's loopback on which nobody listens."""
    packet = write_ip(GUEST, GATEWAY, Protocol.UDP, write_udp(GUEST, GATEWAY, Udp(1, 1, b"")))
    return write_frame(GATEWAY_MAC, MAC, EtherType.IPV4, packet)


def named(listing: Listing, event: str) -> Iterator[Record]:
    """The records of one event."""
    return (record for record in listing if record["event"] == event)


class TestCatalogue:
    def test_every_field_is_emitted(self, realms: Listing, plain: Listing, worlds: Listing, devices: Listing) -> None:
        """The catalogue promises no field that nobody sends."""
        found: dict[str, set[str]] = {name: set() for name in EVENTS}
        for record in (*realms, *plain, *worlds, *devices):
            found[record["event"]] |= set(record)
        missing = {name: set(event.__struct_fields__) - found[name] for name, event in EVENTS.items()}
        assert not {name: fields for name, fields in missing.items() if fields or not found[name]}


class TestFaults:
    def test_stage2(self, realms: Listing) -> None:
        """Fault and level are those of the fault status code in the syndrome."""
        faults = list(named(realms, "fault.stage2"))
        for fault in faults:
            code = int(str(fault["esr"]), 16) & 0x3F
            assert (fault["fault"], fault["level"]) == (Fsc(code & ~3).name, code & 3)
        assert {"TRANSLATION", "PERMISSION"} <= {fault["fault"] for fault in faults}

    def test_granule_protection(self, worlds: Listing) -> None:
        """The GPI is that of the granule that was refused."""
        assert {fault["gpi"] for fault in named(worlds, "fault.gpf")} == {"ROOT", "REALM", "SECURE"}


class TestInterrupts:
    def test_numbers(self, realms: Listing) -> None:
        """A virtual interrupt that is taken has been in a list register; a timer has the number of its line."""
        injected = {int(lr, 16) & 0xFFFF for event in named(realms, "interrupt.inject") for lr in event["lrs"]}
        taken = [(event["virtual"], event["intid"]) for event in named(realms, "interrupt.take")]
        assert {intid for virtual, intid in taken if virtual} == injected - {0}
        assert {27} <= {intid for virtual, intid in taken if not virtual}


class TestRuns:
    def test_clock(self, realms: Listing, worlds: Listing) -> None:
        """A run says whose time it has."""
        assert {run["clock"] for listing in (realms, worlds) for run in named(listing, "run.start")} == {"virtual"}


class TestExits:
    def test_pages(self, realms: Listing) -> None:
        """An abort that the host sees has its page, a RIPAS change its base; no other exit has an IPA."""
        base = None
        for record in realms:
            if record.get("cmd") == "IPA_STATE_SET" and record["event"] == "rsi.call":
                base = record["args"]["base"]
            if record["event"] == "rec.exit":
                if record["reason"] == "RIPAS_CHANGE":
                    assert record["ipa"] == base
                elif record["hpfar"] != "0x0":
                    assert record["ipa"] == hex(int(record["hpfar"], 16) >> 4 << 12)
        reasons = {record["reason"] for record in named(realms, "rec.exit") if "ipa" in record}
        assert reasons == {"SYNC", "RIPAS_CHANGE"}

    def test_host_calls(self, realms: Listing) -> None:
        """A host call has its immediate, no other exit has one."""
        assert {leave["reason"] for leave in named(realms, "rec.exit") if "imm" in leave} == {"HOST_CALL"}
        assert all("imm" in leave for leave in named(realms, "rec.exit") if leave["reason"] == "HOST_CALL")
