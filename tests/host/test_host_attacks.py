"""Nothing that the host tries gets at a Realm, the RMM or EL3."""

from collections import Counter

from cca_host.attacks import attack_new_realm


class TestAttacks:
    """Every attempt is stopped."""

    def test_all_stopped(self, system):
        """Accesses end in granule protection faults, commands in errors, for every kind of granule."""
        attempts = attack_new_realm(system)
        assert [attempt for attempt in attempts if not attempt.stopped] == []
        kinds = Counter(attempt.target for attempt in attempts)
        assert {"RD", "RTT", "RTT, starting level", "DATA", "REC", "REC_AUX"} <= set(kinds)
        assert {"root, first granule", "realm_image, last granule", "secure, first granule"} <= set(kinds)
        assert kinds.pop("Realm") == 1
        assert set(kinds.values()) == {10}
