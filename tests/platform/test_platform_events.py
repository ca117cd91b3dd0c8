"""The event queue: calls at values of the system counter."""

from cca_arch.types import Ticks
from cca_platform.machine.events import EventQueue


class TestEventQueue:
    """Who is called, when, and in which order."""

    def test_due(self) -> None:
        """What is due is called with the value of the counter; what is not yet due stays."""
        queue, calls = EventQueue(), []
        for name, ticks in (("b", 20), ("a", 10), ("c", 30)):
            queue.call_at(name, Ticks(ticks), lambda now, name=name: calls.append((name, now)))
        assert queue.next == 10
        queue.run(Ticks(9))
        assert calls == []
        queue.run(Ticks(25))
        assert (calls, queue.next) == ([("b", 25), ("a", 25)], 30)

    def test_one_place_each(self) -> None:
        """A later wish of a name replaces the earlier one; None takes it back."""
        queue, calls = EventQueue(), []
        queue.call_at("a", Ticks(10), lambda now: calls.append("old"))
        queue.call_at("a", Ticks(5), lambda now: calls.append("new"))
        assert queue.next == 5
        queue.run(Ticks(50))
        assert (calls, queue.next) == (["new"], None)
        queue.call_at("a", Ticks(60), lambda now: calls.append("never"))
        queue.call_at("a", None, lambda now: calls.append("never"))
        queue.run(Ticks(100))
        assert (calls, queue.next) == (["new"], None)

    def test_again(self) -> None:
        """A call may ask for the next one; what is due at once comes with the next look, so that others have theirs."""
        queue, calls = EventQueue(), []

        def again(now: Ticks) -> None:
            calls.append(now)
            queue.call_at("a", Ticks(now - 1), again)

        queue.call_at("a", Ticks(1), again)
        queue.run(Ticks(10))
        assert (calls, queue.next) == ([10], 9)

    def test_withdrawn_by_another(self) -> None:
        """A call that one before it takes back does not come."""
        queue, calls = EventQueue(), []
        queue.call_at("a", Ticks(1), lambda now: queue.call_at("b", None, calls.append))
        queue.call_at("b", Ticks(1), calls.append)
        queue.run(Ticks(1))
        assert calls == []

    def test_never(self) -> None:
        """A time that no clock reaches is no event: the words of native code have 63 bits."""
        queue = EventQueue()
        queue.call_at("a", Ticks(1 << 62), print)
        assert queue.next is None
