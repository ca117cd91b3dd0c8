"""Canonical archives of sources as images: the same sources always have the same measurement."""

__all__ = ["archive"]


def _octal(value: int, width: int) -> bytes:
    return f"{value:0{width - 1}o}\0".encode()


def _tar_header(name: str, size: int) -> bytes:
    """A ustar header: mode 0644, owner 0, time 0."""
    fields = (
        name.encode().ljust(100, b"\0"),
        _octal(0o644, 8) + _octal(0, 8) * 2 + _octal(size, 12) + _octal(0, 12),
        b" " * 8,
        b"0".ljust(101, b"\0") + b"ustar\0" + b"00",
    )
    header = bytearray(b"".join(fields).ljust(512, b"\0"))
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header)


def archive(files: dict[str, bytes]) -> bytes:
    """A ustar archive that depends only on names and contents."""
    parts: list[bytes] = []
    for name in sorted(files):
        data = files[name]
        parts += [_tar_header(name, len(data)), data, bytes(-len(data) % 512)]
    return b"".join([*parts, bytes(1024)])
