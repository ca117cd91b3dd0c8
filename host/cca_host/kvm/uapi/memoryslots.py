"""The memory of a VM: slots, guest memory for private pages, and which pages are private."""

from typing import Final

from cca_arch.errno import Errno
from cca_arch.fields import Record
from cca_arch.kvm import structures as s
from cca_arch.kvm.values import MemFlags, MemoryAttribute
from cca_arch.types import GRANULE_SIZE
from cca_host.kvm.uapi.files import Call
from cca_host.kvm.uapi.kvm import Kvm, Slot
from cca_host.kvm.uapi.memfd import MemoryTarget
from cca_host.kvm.uapi.refusal import Refusal, must

__all__ = ["MAX_SLOTS", "create_guest_memfd", "set_attributes", "set_region", "set_region2"]

MAX_SLOTS: Final = 32767
_END: Final = 1 << 64
_USER_END: Final = 1 << 47
_REALM_FLAGS: Final = int(MemFlags.GUEST_MEMFD)


def _aligned(*values: int) -> bool:
    return not any(value % GRANULE_SIZE for value in values)


def set_region(kvm: Kvm, call: Call) -> None:
    """KVM_SET_USER_MEMORY_REGION."""
    record = call.take(s.KvmUserspaceMemoryRegion)
    must(not record.flags & ~int(MemFlags.LOG_DIRTY_PAGES | MemFlags.READONLY), Errno.EINVAL)
    _set(kvm, call, record, -1, 0)


def set_region2(kvm: Kvm, call: Call) -> None:
    """KVM_SET_USER_MEMORY_REGION2."""
    record = call.take(s.KvmUserspaceMemoryRegion2)
    must(not record.pad1 and not any(record.pad2), Errno.EINVAL)
    _set(kvm, call, record, record.guest_memfd, record.guest_memfd_offset)


def _set(kvm: Kvm, call: Call, record: Record, memfd: int, offset: int) -> None:
    """Make, delete or change a slot, with Linux's checks in Linux's order."""
    flags, base, size, address = record.flags, record.guest_phys_addr, record.memory_size, record.userspace_addr
    must(not flags & ~(_REALM_FLAGS if kvm.is_realm else 0), Errno.EINVAL)
    must(_aligned(size, base, address) and address + size <= _USER_END, Errno.EINVAL)
    must(record.slot < MAX_SLOTS and base + size < _END, Errno.EINVAL)
    private = bool(flags & MemFlags.GUEST_MEMFD)
    must(not private or (_aligned(offset) and offset + size < _END), Errno.EINVAL)
    old = kvm.slots.get(record.slot)
    if not size:
        _delete(kvm, old)
        return
    if old is not None:
        same = (old.size, old.address, old.flags) == (size, address, flags)
        must(same and not old.private, Errno.EINVAL)
        if old.base == base:
            return
    others = (one for number, one in kvm.slots.items() if number != record.slot)
    must(not any(base < one.top and one.base < base + size for one in others), Errno.EEXIST)
    must(base + size <= kvm.limit, Errno.EFAULT)
    number = _bind(kvm, call, memfd, offset, size) if private else None
    if old is not None:
        _delete(kvm, old)
    slot = Slot(record.slot, flags, base, size, address, number, offset if private else 0)
    kvm.slots[slot.number] = slot
    if kvm.guest is not None:
        kvm.guest.add_memory(base, size)


def _delete(kvm: Kvm, old: Slot | None) -> None:
    if old is None:
        raise Refusal(Errno.EINVAL)
    if kvm.guest is not None:
        kvm.forget(old.base, old.top)
        kvm.guest.slots.remove((old.base, old.top))
    del kvm.slots[old.number]


def _bind(kvm: Kvm, call: Call, memfd: int, offset: int, size: int) -> int:
    """The number of the guest memory behind a slot: one of this VM, large enough, and not yet in use there."""
    target = call.descriptors.get(memfd).target
    if not isinstance(target, MemoryTarget) or target.kvm is not kvm:
        raise Refusal(Errno.EINVAL)
    must(offset + size <= kvm.memory_sizes[target.number], Errno.EINVAL)
    for one in kvm.slots.values():
        here = one.memfd == target.number and offset < one.offset + one.size and one.offset < offset + size
        must(not here, Errno.EINVAL)
    return target.number


def create_guest_memfd(kvm: Kvm, call: Call) -> int:
    """KVM_CREATE_GUEST_MEMFD: returns the descriptor."""
    record = call.take(s.KvmCreateGuestMemfd)
    must(not record.flags and not any(record.reserved), Errno.EINVAL)
    must(0 < record.size < _END >> 1 and _aligned(record.size), Errno.EINVAL)
    must(kvm.is_realm, Errno.EINVAL)
    kvm.memory_sizes.append(record.size)
    fd = call.descriptors.install(MemoryTarget(kvm, len(kvm.memory_sizes) - 1))
    kvm.get()
    return fd


def set_attributes(kvm: Kvm, call: Call) -> None:
    """KVM_SET_MEMORY_ATTRIBUTES."""
    record = call.take(s.KvmMemoryAttributes)
    known = int(MemoryAttribute.PRIVATE) if kvm.is_realm else 0
    must(not record.flags and not record.attributes & ~known, Errno.EINVAL)
    must(record.size and record.address + record.size < _END, Errno.EINVAL)
    must(_aligned(record.address, record.size), Errno.EINVAL)
    base, top = record.address, record.address + record.size
    if not record.attributes:
        kvm.private.remove(base, top)
        return
    kvm.private.add(base, top)
    for slot in kvm.slots.values():  # what becomes private is not shared any more
        low, high = max(base, slot.base), min(top, slot.top)
        if low < high and slot.private:
            kvm.forget(low, high, shared_only=True)
