"""What one address may hold: counted exactly, given back, and nobody else is touched by it."""

import logging
from contextlib import ExitStack

import pytest

from framewire.worker.config import Config
from framewire.worker.runtime.metrics import Metrics
from framewire.worker.server.doors import callers as module
from framewire.worker.server.doors.callers import Callers, Visit, address_counted
from framewire.worker.server.doors.refusals import Reason, Refusals, Refused

ONE, OTHER, PROXY = "203.0.113.7", "203.0.113.8", "10.0.0.1"


def counting(room: int = 1000, metrics: Metrics | None = None, **limits: int) -> Callers:
    metrics = metrics or Metrics()
    is_trusted = {PROXY, "127.0.0.1"}.__contains__
    return Callers(Config(**limits), metrics, Refusals(metrics), is_trusted, room)


def count_of(metrics: Metrics, reason: Reason) -> float:
    return metrics.refusals.labels(reason)._value.get()


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "no address"),
        ("x" * 5000, "no address"),
    ],
)
def test_an_address_is_counted_as_itself_and_of_ipv6_with_its_64(host: str, counted: str) -> None:
    assert address_counted(host) == counted


def test_handshakes_of_one_address_are_bounded_until_they_are_sockets_or_gone() -> None:
    metrics = Metrics()
    callers = counting(metrics=metrics, caller_handshakes=2)
    first, second = callers.arrive(ONE, 1), callers.arrive(ONE, 2)
    with pytest.raises(Refused):
        callers.arrive(ONE, 3)
    callers.arrive(OTHER, 3)
    first.seat()
    callers.arrive(ONE, 4)
    second.leave()
    second.leave()
    callers.arrive(ONE, 5)
    with pytest.raises(Refused):
        callers.arrive(ONE, 6)
    assert count_of(metrics, Reason.HANDSHAKES) == 2
    assert metrics.sockets._value.get() == 4


def test_sockets_of_one_address_are_bounded_and_who_has_a_seat_keeps_it() -> None:
    callers = counting(caller_sockets=1)
    visit = callers.arrive(ONE, 1)
    for _ in range(3):
        with callers.admitted(visit, visit.client) as caller:
            assert caller.key == ONE
    second = callers.arrive(ONE, 2)
    with pytest.raises(Refused, match="1 sockets are open"), callers.admitted(second, (ONE, 2)):
        pass
    visit.leave()
    with callers.admitted(second, (ONE, 2)):
        pass


@pytest.mark.parametrize("peer", [PROXY, "127.0.0.1"])
def test_behind_a_trusted_proxy_each_caller_counts_and_the_proxy_does_not(peer: str) -> None:
    callers = counting(caller_sockets=1, caller_handshakes=1)
    visits = [callers.arrive(peer, port) for port in range(20)]
    with ExitStack() as held:
        for visit, host in zip(visits, (ONE, OTHER, "127.0.0.1"), strict=False):
            caller = held.enter_context(callers.admitted(visit, (host, 0)))
            assert caller.key == host
        with pytest.raises(Refused):
            held.enter_context(callers.admitted(visits[3], (ONE, 0)))
    with callers.admitted(visits[3], (ONE, 0)):
        pass


def test_this_machine_is_exempt() -> None:
    callers = counting(caller_sockets=1, caller_handshakes=1, caller_tokens=1, caller_clips=1)
    with ExitStack() as held:
        for host in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
            for port in range(5):
                visit = callers.arrive(host, port)
                caller = held.enter_context(callers.admitted(visit, visit.client))
                caller.check_mint()
                held.enter_context(caller.clip())


def test_all_callers_together_are_bounded_by_the_room_there_is() -> None:
    metrics = Metrics()
    callers = counting(room=3, metrics=metrics)
    visits = [callers.arrive(f"203.0.113.{n}", 1) for n in range(3)]
    for host in (OTHER, "127.0.0.1"):
        with pytest.raises(Refused):
            callers.arrive(host, 1)
    visits[0].leave()
    callers.arrive("127.0.0.1", 1)
    assert count_of(metrics, Reason.CONNECTIONS) == 2


def admitted(callers: Callers, held: ExitStack, host: str = ONE) -> module.Caller:
    visit: Visit = callers.arrive(host, 1)
    return held.enter_context(callers.admitted(visit, visit.client))


def test_tokens_of_an_address_run_out_and_come_back_with_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    with ExitStack() as held:
        callers = counting(caller_tokens=30)
        caller, other = admitted(callers, held), admitted(callers, held, OTHER)
        for _ in range(30):
            caller.check_mint()
        for _ in range(3):
            with pytest.raises(Refused, match="30 tokens"):
                caller.check_mint()
        other.check_mint()
        now += 2.0  # one token's worth
        caller.check_mint()
        with pytest.raises(Refused):
            caller.check_mint()
        now += 3600.0
        for _ in range(30):
            caller.check_mint()
        with pytest.raises(Refused):
            caller.check_mint()


def test_addresses_that_asked_for_tokens_are_forgotten_before_they_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("framewire.worker.server.doors.buckets.MOST_REMEMBERED", 10)
    with ExitStack() as held:
        callers = counting(room=10_000)
        for n in range(100):
            admitted(callers, held, f"2001:db8:0:{n:x}::1").check_mint()
        assert len(callers._mints) == 10


def test_clips_under_way_are_bounded_for_each_address() -> None:
    with ExitStack() as held:
        callers = counting(caller_clips=1)
        caller, other = admitted(callers, held), admitted(callers, held, OTHER)
        with caller.clip():
            with pytest.raises(Refused, match="1 clips"), caller.clip():
                pass
            with other.clip():
                pass
        with caller.clip():
            pass


def test_zero_is_no_limit() -> None:
    with ExitStack() as held:
        callers = counting(caller_sockets=0, caller_handshakes=0, caller_tokens=0, caller_clips=0)
        for _ in range(100):
            caller = admitted(callers, held)
            callers.arrive(ONE, 1)
            caller.check_mint()
            held.enter_context(caller.clip())


def test_nothing_is_remembered_of_who_has_left() -> None:
    callers = counting()
    for n in range(50):
        visit = callers.arrive(f"203.0.113.{n}", 1)
        with callers.admitted(visit, visit.client) as caller, caller.clip():
            pass
        visit.leave()
    assert not callers._handshakes and not callers._sockets and not callers._clips


def test_refusals_are_counted_each_and_logged_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 100.0
    monkeypatch.setattr("framewire.worker.server.doors.refusals.time.monotonic", lambda: now)
    metrics = Metrics()
    refusals = Refusals(metrics)
    with caplog.at_level(logging.WARNING):
        for _ in range(1000):
            refusals.refused(Reason.SOCKETS, "too many", ONE)
        assert len(caplog.records) == 1
        now += 61
        refusals.refused(Reason.SOCKETS, "too many", ONE)
        refusals.refused(Reason.CONNECTIONS, "full", None)
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        "turned away: 1", "turned away: 1000", "turned away: 1",
    ]  # fmt: skip
    assert ONE in caplog.text and count_of(metrics, Reason.SOCKETS) == 1001
    assert 'framewire_refusals_total{reason="clips"} 0.0' in metrics.text().decode()
