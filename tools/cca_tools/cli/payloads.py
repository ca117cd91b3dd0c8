"""``realmlab payloads``."""

__all__ = ["payloads"]


def payloads() -> int:
    """List the bundled payloads."""
    from realmlab.payloads import payload_names

    print("\n".join(payload_names()))
    return 0
