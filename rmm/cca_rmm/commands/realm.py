"""RMI_REALM_CREATE, RMI_REALM_ACTIVATE and RMI_REALM_DESTROY."""

from typing import Any, Final

from cca_arch.descriptors import rtte
from cca_arch.fields import Record
from cca_arch.rmi.v1_0 import Rmi, RmiRealmParams, RmiRipas
from cca_arch.types import GRANULE_SIZE
from cca_rmm.base.command import Call, Check, Command, Result, loaded
from cca_rmm.commands.calls import RealmCall, read_ns
from cca_rmm.commands.conditions import RD, REALM_ERROR, REALM_NEW, granule
from cca_rmm.costs import HASH_PAGE, spend
from cca_rmm.objects import measurement, rtt
from cca_rmm.objects.granule import State
from cca_rmm.objects.realm import REALM, REALM_STATE, RPV_OFFSET, Realm, RealmState, hash_valid, rtt_shape_valid

__all__ = ["COMMANDS"]


class CreateCall(Call):
    """RMI_REALM_CREATE."""

    rd: int
    params_ptr: int

    @loaded
    def content(self) -> bytes | None:
        """RmiRealmParams, or None if they cannot be read."""
        return read_ns(self.rmm, self.params_ptr)

    @loaded
    def params(self) -> Record:
        """RmiRealmParams, which are known to be readable."""
        assert self.content is not None
        return RmiRealmParams.unpack(self.content)


def tables(base: int, count: int) -> range:
    """The addresses of the starting-level RTT granules."""
    return range(base, base + count * GRANULE_SIZE, GRANULE_SIZE)


def realm_create(call: CreateCall) -> Result:
    """Create the Realm. Every IPA starts UNASSIGNED: EMPTY in the protected half, NS in the other."""
    rmm, rd, params = call.rmm, call.rd, call.params
    realm = Realm(
        state=RealmState.NEW, flags=params.flags, s2sz=params.s2sz, sve_vl=params.sve_vl, num_bps=params.num_bps,
        num_wps=params.num_wps, pmu_num_ctrs=params.pmu_num_ctrs, hash_algo=params.hash_algo, vmid=params.vmid,
        rtt_base=params.rtt_base, rtt_level_start=params.rtt_level_start, rtt_num_start=params.rtt_num_start,
        rec_index=0, num_recs=0,
    )  # fmt: skip
    shift = rtte.level_size(realm.rtt_level_start).bit_length() - 1
    first_ns = realm.protected_top >> shift
    total, count = realm.ipa_top >> shift, realm.rtt_num_start * rtte.ENTRIES
    image = rtte.unassigned(RmiRipas.EMPTY).to_bytes(8, "little") * first_ns
    image += rtte.UNASSIGNED_NS.to_bytes(8, "little") * (total - first_ns)
    rmm.port.write(realm.rtt_base, image.ljust(8 * count, b"\0"))
    for table in tables(realm.rtt_base, realm.rtt_num_start):
        rmm.granules.move(call.pe, table, "REALM_CREATE.rtt")
    REALM.create(rmm.port, rd, realm)
    rmm.port.write(rd + RPV_OFFSET, params.rpv)
    rmm.granules.move(call.pe, rd, "REALM_CREATE")
    rmm.set_vmid(realm.vmid, True)
    spend(call.pe.clock, HASH_PAGE[realm.hash_algo])
    rim = measurement.rim_init(params)
    measurement.store(rmm.port, rmm.trace, call.pe, rd, realm, 0, rim, "REALM_CREATE")
    return (0,)


def realm_activate(call: RealmCall) -> Result:
    """Activate the Realm; from here on no command extends the RIM."""
    REALM.write(call.rmm.port, call.rd, state=REALM_STATE[RealmState.NEW, "REALM_ACTIVATE"])
    return (0,)


def realm_live(call: RealmCall) -> bool:
    """The Realm has a REC, or a starting-level table is live."""
    port, realm = call.rmm.port, call.realm
    return realm.num_recs > 0 or any(rtt.table_live(port, at) for at in tables(realm.rtt_base, realm.rtt_num_start))


def realm_destroy(call: RealmCall) -> Result:
    """Return the granules to DELEGATED. The VMID becomes free, so the TLBs must drop its entries."""
    rmm, realm = call.rmm, call.realm
    call.pe.machine.tlbi_vmalls12(realm.vmid)
    for table in tables(realm.rtt_base, realm.rtt_num_start):
        rmm.granules.release(call.pe, table, "REALM_DESTROY")
    rmm.granules.release(call.pe, call.rd, "REALM_DESTROY")
    rmm.set_vmid(realm.vmid, False)
    return (0,)


def alias(call: CreateCall) -> bool:
    """The RD is one of the starting-level tables."""
    params = call.params
    return bool(params.rtt_base <= call.rd < params.rtt_base + params.rtt_num_start * GRANULE_SIZE)


def rtt_state(call: CreateCall) -> bool:
    """A starting-level granule is not tracked or not DELEGATED."""
    state = call.rmm.granules.state
    return any(state(at) != State.DELEGATED for at in tables(call.params.rtt_base, call.params.rtt_num_start))


_PARAMS_ALIGN, _PARAMS_BOUND, _PARAMS_STATE = granule("params_ptr", State.UNDELEGATED, "params", "pas")

COMMANDS: Final[tuple[Command[Any], ...]] = (
    Command[CreateCall](
        Rmi.REALM_CREATE, "REALM_CREATE", CreateCall, realm_create,
        checks=(
            _PARAMS_ALIGN,
            _PARAMS_BOUND,
            Check("params_pas", lambda c: _PARAMS_STATE.fails(c) or c.content is None),
            Check("params_valid", lambda c: not hash_valid(c.params)),
            Check("params_supp", lambda c: not c.rmm.facts.offer.supports(c.params)),
            Check("rtt_num_level", lambda c: not rtt_shape_valid(c.params)),
            Check("vmid_valid", lambda c: not c.rmm.vmid_free(c.params.vmid)),
            Check("alias", alias),
            *granule("rd", State.DELEGATED),
            Check("rtt_align", lambda c: c.params.rtt_base % (c.params.rtt_num_start * GRANULE_SIZE)),
            Check("rtt_state", rtt_state),
        ),
    ),
    Command[RealmCall](
        Rmi.REALM_ACTIVATE, "REALM_ACTIVATE", RealmCall, realm_activate, checks=(*RD, REALM_NEW),
    ),
    Command[RealmCall](
        Rmi.REALM_DESTROY, "REALM_DESTROY", RealmCall, realm_destroy,
        checks=(*RD, Check("realm_live", realm_live, REALM_ERROR)),
    ),
)  # fmt: skip
