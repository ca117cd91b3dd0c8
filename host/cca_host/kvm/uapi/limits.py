"""What a VM can be, in words: for a VMM that explains to its user why not, before it asks for it by numbers."""

from cca_host.kvm.guest import check_memory
from cca_host.kvm.kernel import Kernel
from cca_host.kvm.plain.guest import PlainGuest
from cca_host.kvm.plain.vm import check_plain
from cca_host.kvm.realm import Realm
from cca_host.kvm.vm import check_realm

__all__ = ["must_be_plain", "must_be_realm"]


def must_be_realm(
    system: Kernel, ipa_width: int, hash_algo: str, rpv: bytes, pmu_counters: int | None, ram: tuple[int, int]
) -> None:
    """Raise MachineError unless there can be such a Realm with ``ram``, its base and its size."""
    check_realm(system, ipa_width, hash_algo, rpv, pmu_counters)
    check_memory(*ram, 1 << ipa_width - 1, Realm.ram_part, ipa_width)


def must_be_plain(ipa_width: int, ram: tuple[int, int]) -> None:
    """Raise MachineError unless there can be such a plain VM."""
    check_plain(ipa_width)
    check_memory(*ram, 1 << ipa_width, PlainGuest.ram_part, ipa_width)
