"""PAGE_OUT and PAGE_IN of the extension `paging`, from the words of its manual: ciphers, conditions, effects."""

from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from rmm_model.data_commands import BACKED, BEFORE_WALK, PLACE
from rmm_model.entries import Entry, Hipas
from rmm_model.facts import PAGE, Blob, Granule, Realm, Status
from rmm_model.model import Model
from rmm_model.rules import Call, Command, Rule, fails, granule, rtt_fails

__all__ = ["COMMANDS"]

INPUT = fails(Status.INPUT)
OUTPUTS = (0, 0, 0, 0)  # X1 to X4 of a PAGE_OUT that fails
VERSIONS = (1 << 36) - 1


def _derived(key: bytes, label: bytes, number: int) -> bytes:
    return HKDF(SHA384(), 32, salt=None, info=label + number.to_bytes(8, "little")).derive(key)


@lru_cache
def _cipher(seed: bytes, boot: int, serial: int) -> AESGCM:
    """What seals the pages of the Realm with this serial in this boot."""
    return AESGCM(_derived(_derived(seed, b"Realmlab boot key 1", boot), b"Realmlab page key 1", serial))


def _bound(ipa: int, version: int) -> tuple[bytes, bytes]:
    """The nonce, and what is authenticated."""
    return version.to_bytes(12, "little"), ipa.to_bytes(8, "little") + version.to_bytes(8, "little")


def _of(model: Model, realm: Realm) -> AESGCM:
    return _cipher(*model.boot, realm.serial)


def _opened(call: Call) -> bytes | None:
    """The page that the Host brings, if it is what went out last."""
    nonce, bound = _bound(call.ipa, call.walk.entry.version)
    tag = b"".join(call.args[name].to_bytes(8, "little") for name in ("tag0", "tag1"))
    try:
        return _of(call.model, call.realm).decrypt(nonce, call.model.host_read(call.src, PAGE) + tag, bound)
    except InvalidTag:
        return None


def _out(call: Call) -> tuple[int, ...]:
    model, realm, entry = call.model, call.realm, call.walk.entry
    if not realm.serial:
        model.serials += 1
        realm.serial = model.serials
    realm.version += 1
    nonce, bound = _bound(call.ipa, realm.version)
    box = _of(model, realm).encrypt(nonce, bytes(model.contents[entry.pa]), bound)
    tag = tuple(int.from_bytes(box[at : at + 8], "little") for at in (PAGE, PAGE + 8))
    model.host_written[call.dst] = box[:PAGE]
    model.blobs.append(Blob(realm.serial, call.ipa, realm.version, box[:PAGE], tag))
    model.put(call.walk, Entry(Hipas.SEALED, entry.ripas, version=realm.version))
    model.move(entry.pa, Granule.DELEGATED)
    return entry.pa, *tag, realm.version


def _in(call: Call) -> tuple[int, ...]:
    model, content = call.model, _opened(call)
    assert content is not None
    model.put(call.walk, Entry(Hipas.ASSIGNED, call.walk.entry.ripas, call.data))
    model.move(call.data, Granule.DATA)
    model.contents[call.data] = bytearray(content)
    return ()


def _not(hipas: Hipas) -> Rule:
    return Rule(
        "rtte_state",
        lambda call: call.walk.entry.hipas is not hipas,
        rtt_fails(lambda call: call.walk.level),
        f"{BEFORE_WALK} rtt_walk",
    )


_WALK = Rule("rtt_walk", lambda call: call.walk.level < 3, rtt_fails(lambda call: call.walk.level), BEFORE_WALK)
_RD = granule("rd", Granule.RD)


def _with_outputs(rule: Rule) -> Rule:
    """The rule as a command has it whose outputs are X1 to X4."""
    answer = rule.answer
    return rule._replace(answer=lambda call: answer(call)._replace(x=OUTPUTS))


COMMANDS = (
    Command(
        "PAGE_OUT",
        0xF000_0001,
        ("rd", "ipa", "dst"),
        tuple(
            _with_outputs(rule)
            for rule in (
                *granule("dst", Granule.UNDELEGATED, last="pas"),
                *_RD,
                *PLACE,
                _WALK,
                _not(Hipas.ASSIGNED),
                Rule("version_bound", lambda call: call.realm.version == VERSIONS, fails(Status.REALM), "rd_*"),
                Rule("dst_pas_access", lambda call: call.dst in call.model.foreign, INPUT, "dst_*"),
            )
        ),
        _out,
        walk=lambda call: (call.ipa, 3),
    ),
    Command(
        "PAGE_IN",
        0xF000_0002,
        ("rd", "data", "ipa", "src", "tag0", "tag1"),
        (
            *granule("src", Granule.UNDELEGATED, last="pas"),
            *granule("data", Granule.DELEGATED),
            *_RD,
            *PLACE,
            BACKED,
            _WALK,
            _not(Hipas.SEALED),
            Rule("src_pas_access", lambda call: call.src in call.model.foreign, INPUT, "src_*"),
            Rule(
                "page_auth",
                lambda call: _opened(call) is None,
                INPUT,
                f"src_* {BEFORE_WALK} rtt_walk rtte_state src_pas_access",
            ),
        ),
        _in,
        walk=lambda call: (call.ipa, 3),
    ),
)
