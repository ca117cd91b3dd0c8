"""Hostile attestation tokens and keys: CBOR and COSE broken at any level, signed again or not; DER and PEM."""

import base64
import random
from collections.abc import Callable
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any

import cbor2
from hostile_case import Case, Content, ends, line
from hostile_mutate import ESCAPES, changed, mutate, number, text, value
from tokens import CPAK, OTHER, RAK, good, seal

from cca_arch import cose

__all__ = ["key_case", "token_case"]

_VECTORS = Path(__file__).parents[1] / "attestation" / "vectors"
_FORGED = Path(__file__).parents[1] / "cases" / "tok_forge.bin"
_BEGIN, _END = b"-----BEGIN CCA TOKEN-----\n", b"\n-----END CCA TOKEN-----\n"
_NESTED = 50_000


@cache
def _vectors() -> tuple[bytes, ...]:
    return (*(path.read_bytes() for path in sorted(_VECTORS.glob("*.cbor"))), _FORGED.read_bytes(), seal(good()))


def _head(major: int, argument: int) -> bytes:
    """The head of an item."""
    for size, low in ((1, 24), (2, 25), (4, 26), (8, 27)):
        if argument < 24:
            return bytes((major << 5 | argument,))
        if argument < 1 << 8 * size:
            return bytes((major << 5 | low,)) + argument.to_bytes(size, "big")
    raise ValueError(argument)


def _odd(source: random.Random) -> bytes:
    """An item that is not well-formed, or that asks for more than there is."""
    depth = source.choice((10, 200, 1500, _NESTED))
    major = source.randrange(8)
    items: tuple[Callable[[], bytes], ...] = (
        lambda: b"\x81" * depth + b"\x00",
        lambda: b"\xc1" * depth + b"\x00",
        lambda: b"\x9f" * depth + b"\xff" * depth,
        lambda: b"\xa1\x00" * depth + b"\x00",
        lambda: b"\xbf" * depth,
        lambda: _head(major, number(source)),
        lambda: _head(major, number(source)) + source.randbytes(8),
        lambda: bytes((major << 5 | source.choice((28, 29, 30, 31)),)),
        lambda: b"\x5f\x41a\x41b\xff",
        lambda: b"\x7f\x61\xff\xff",
        lambda: b"\x62\xc3\x28",
        lambda: b"\xd9\x01\x0f" + cbor2.dumps(text(source)),
        lambda: (
            _head(6, source.choice((0, 1, 2, 3, 4, 5, 18, 24, 28, 29, 30, 35, 36, 37, 100, 258, 260, 261, 55799)))
            + _dumps(value(source))
        ),
        lambda: b"\xc2" + cbor2.dumps(b"\xff" * source.choice((1, 9, 5000))),
        lambda: b"\xc4\x82\x1b" + b"\x7f" * 8 + b"\x01",
        lambda: b"\xf9\x7e\x00",
        lambda: b"\xd8\x1d\x00",
        lambda: b"",
    )
    return source.choice(items)()


def _value(source: random.Random) -> Any:
    match source.randrange(5):
        case 0:
            return source.choice(ESCAPES)
        case 1:
            return source.randbytes(source.choice((0, 1, 31, 32, 33, 48, 64, 97, 5000)))
        case 2:
            return cbor2.CBORTag(source.choice((0, 2, 18, 32, 399, 1 << 40)), text(source))
        case 3:
            return source.choice(({1: 2}, {text(source): 1}, [b"a"], [None], cbor2.undefined, {b"k": b"v"}))
        case _:
            return value(source)


def _dumps(tree: Any) -> bytes:
    try:
        return cbor2.dumps(tree, date_as_datetime=True, timezone=UTC)
    except (cbor2.CBOREncodeError, UnicodeEncodeError, TypeError, RecursionError):
        return cbor2.dumps(repr(tree))


def _halves(source: random.Random) -> bytes:
    """A token whose claims are broken, and signed all the same: what is behind the signatures is reached."""
    token = good()
    for name in ("platform", "realm"):
        if source.random() < 0.7:
            token[name] = changed(source, token[name], _value)
            if source.random() < 0.3 and isinstance(token[name], dict):
                key = source.choice((text(source), 44999, -1, 10, (1, 2), b"rim", 1 << 64, True, None, 1.5))
                token[name][key] = _value(source)
    payloads = [_odd(source) if source.random() < 0.1 else _dumps(token[name]) for name in ("platform", "realm")]
    halves: list[Any] = [cose.sign1(key, one) for key, one in zip((CPAK, RAK), payloads, strict=True)]
    if source.random() < 0.3:
        which = source.randrange(2)
        halves[which] = _frame(source, halves[which])
    tree: Any = dict(zip((44234, 44241), halves, strict=True))
    if source.random() < 0.2:
        tree = changed(source, tree, _value)
    return _dumps(cbor2.CBORTag(source.choice((399,) * 12 + (18, 907, 1)), tree))


def _frame(source: random.Random, half: Any) -> Any:
    """A COSE_Sign1 with broken parts."""
    data = half if isinstance(half, bytes) else cbor2.dumps(half)
    found = cbor2.loads(data)
    parts = list(found.value) if isinstance(found, cbor2.CBORTag) else list(found)
    headers = (
        b"",
        b"\xa0",
        cbor2.dumps({1: source.choice((-7, -35, -36, 5, "x"))}),
        cbor2.dumps({1: -35, 2: [9]}),
        _odd(source),
    )
    parts[source.randrange(len(parts))] = source.choice((source.choice(headers), _value(source), {4: text(source)}))
    tagged = cbor2.CBORTag(source.choice((18, 18, 98, 0)), source.choice((parts, parts[:-1], [*parts, 1])))
    encoded = _dumps(tagged)
    return (
        encoded
        if isinstance(half, bytes)
        else source.choice((cbor2.loads(encoded) if encoded[:1] == b"\xd2" else tagged, tagged))
    )


def _token(source: random.Random) -> bytes:
    match source.randrange(10):
        case 0 | 1 | 2:
            return mutate(source, source.choice(_vectors()))
        case 3:
            data = source.choice(_vectors())
            where = source.randrange(len(data))
            return data[:where] + _odd(source) + data[where + source.choice((0, 1, 8)) :]
        case 4:
            return _odd(source)
        case 5:
            return _head(6, 399) + source.choice((b"", _head(5, 2))) + _odd(source)
        case _:
            return _halves(source)


def _dressed(source: random.Random, data: bytes) -> bytes:
    """Bytes, hex digits, or lines of a console."""
    match source.randrange(8):
        case 0:
            return data.hex().encode()
        case 1:
            return b"noise\x1b[2J\n" + _BEGIN + data.hex().encode() + _END + b"more"
        case 2:
            return mutate(source, _BEGIN + data.hex().encode() + _END, 2)
        case 3 if source.random() < 0.3:
            return source.choice(
                (b"", b" " * 3, b"0" * (1 << 20), b"ab " * (1 << 19), _BEGIN, _BEGIN + _END, data * 4000)
            )
        case _:
            return data


def token_case(source: random.Random, number: int) -> Case:
    """A token, shown or verified."""
    data = _dressed(source, _token(source))
    words = [source.choice(("show", "verify")), source.choice(("t", "t", "t", "-"))]
    files: dict[str, Content] = {} if words[1] == "-" else {"t": data}
    if words[0] == "verify":
        files["k.pem"] = _pem("PUBLIC KEY", _spki(CPAK))
        words += ["--cpak", "k.pem"] if source.random() < 0.8 else []
        words += ["--challenge", source.choice(("", "00", "ff" * 64))] if source.random() < 0.3 else []
    argv = line("attest", *words, *source.choice(((), (), ("--json",))))
    return Case("token", number, argv, files, ends(argv)[0], stdin=data if words[1] == "-" else b"")


# -- keys ------------------------------------------------------------------------------------------------------------
def _tlv(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = bytes((len(body),)) if len(body) < 128 else b"\x82" + len(body).to_bytes(2, "big")
    return bytes((tag,)) + size + body


_EC, _P256, _P384, _RSA, _ED25519 = (
    bytes.fromhex(one) for one in ("2a8648ce3d0201", "2a8648ce3d030107", "2b81040022", "2a864886f70d010101", "2b6570")
)


def _spki(scalar: bytes) -> bytes:
    """A sound SubjectPublicKeyInfo on P-384."""
    return _key_info(_tlv(6, _EC) + _tlv(6, _P384), cose.point(scalar))


def _key_info(algorithm: bytes, key: bytes) -> bytes:
    return _tlv(0x30, _tlv(0x30, algorithm), _tlv(3, b"\0", key))


def _pem(label: str, data: bytes) -> bytes:
    text = base64.b64encode(data).decode()
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode()


def _other_key(source: random.Random) -> bytes:
    """A key that is of another kind, or none."""
    point = cose.point(OTHER)
    modulus = b"\0" + bytes((0x80 | source.randrange(128),)) + source.randbytes(source.choice((15, 127, 255, 2047)))
    rsa = _tlv(0x30, _tlv(2, modulus), _tlv(2, source.choice((b"\x03", b"\x01\0\x01", b"\0", b"\x02"))))
    curve = _tlv(6, _EC) + _tlv(6, source.choice((_P256, _P384, b"", b"\x2b\x81\x04\x00\x0a", b"\x2b\x81\x04\x00\x23")))
    return source.choice(
        (
            _key_info(
                curve,
                source.choice((point, point[:65], b"\x04" + bytes(64), b"\x04" + bytes(96), b"\0", b"", point[:-1])),
            ),
            _key_info(_tlv(6, _RSA) + _tlv(5), rsa),
            _key_info(_tlv(6, _ED25519), source.randbytes(32)),
            _key_info(_tlv(6, _EC) + _tlv(5), point),
            _key_info(
                _tlv(6, _EC) + _tlv(0x30, _tlv(2, b"\x01"), _tlv(0x30, _tlv(6, bytes.fromhex("2a8648ce3d0101")))), point
            ),
            _tlv(0x30, _tlv(2, b"\x01"), _tlv(4, OTHER), _tlv(0xA0, _tlv(6, _P384))),
            b"\x30\x84\xff\xff\xff\xff",
            b"\x30\x80" * 2000,
            source.randbytes(100),
        )
    )


def key_case(source: random.Random, number: int) -> Case:
    """A key to verify a sound token with."""
    data = _spki(CPAK) if source.random() < 0.2 else _other_key(source)
    data = mutate(source, data, 1) if source.random() < 0.4 else data
    label = source.choice(("PUBLIC KEY",) * 4 + ("CERTIFICATE", "EC PRIVATE KEY", "RSA PUBLIC KEY", "X\x1b[2J", ""))
    pem = _pem(label, data)
    match source.randrange(8):
        case 0:
            pem = mutate(source, pem)
        case 1:
            pem = data
        case 2:
            pem = pem * source.choice((2, 50)) + pem[:30]
    argv = line("attest", "verify", "t", "--cpak", "k.pem", *source.choice(((), ("--json",))))
    return Case("key", number, argv, {"t": seal(good()), "k.pem": pem}, ends(argv)[0])
