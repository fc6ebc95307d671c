"""Rates and breakers, on a clock of the test's."""

import pytest

from service.probe.limits import LONGEST_OPEN_SECONDS, Breaker, Rate


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_turns_are_spaced_evenly(clock: Clock) -> None:
    rate = Rate(2.0, clock)

    assert [rate.take() for _ in range(4)] == [0.0, 0.5, 1.0, 1.5]


def test_idle_time_saves_up_no_turns(clock: Clock) -> None:
    rate = Rate(2.0, clock)
    rate.take()
    clock.now += 60

    assert [rate.take(), rate.take()] == [0.0, 0.5]


def test_a_provider_may_ask_us_to_wait(clock: Clock) -> None:
    rate = Rate(2.0, clock)
    rate.hold(30)

    assert rate.wait == 30
    assert rate.take() == 30


def test_a_breaker_opens_after_failures_in_a_row(clock: Clock) -> None:
    breaker = Breaker(3, 60, clock)
    for outcome in (breaker.failed, breaker.failed, breaker.succeeded, breaker.failed, breaker.failed):
        outcome()
    assert breaker.admit()

    breaker.failed()

    assert breaker.is_open
    assert not breaker.admit()


def test_behind_an_open_breaker_one_is_let_through_when_its_time_is_over(clock: Clock) -> None:
    breaker = Breaker(1, 60, clock)
    breaker.failed()
    clock.now += 61

    assert [breaker.admit(), breaker.admit()] == [True, False]
    breaker.succeeded()
    assert [breaker.admit(), breaker.admit()] == [True, True]


def test_it_stays_open_longer_each_time_up_to_a_bound(clock: Clock) -> None:
    breaker = Breaker(1, 60, clock)
    times = []
    for _ in range(8):
        breaker.failed()
        began = clock.now
        while breaker.is_open:
            clock.now += 10
        times.append(clock.now - began)
        assert breaker.admit()

    assert times == [60, 120, 240, 480, 900, 900, 900, 900]
    assert max(times) == LONGEST_OPEN_SECONDS


def test_another_pace_counts_from_the_next_turn_on(clock: Clock) -> None:
    rate = Rate(2.0, clock)
    rate.take()
    rate.pace(10.0)

    assert [rate.take() for _ in range(3)] == pytest.approx([0.5, 0.6, 0.7])


def test_an_open_breaker_stays_open_under_other_limits(clock: Clock) -> None:
    breaker = Breaker(1, 60.0, clock)
    breaker.failed()
    breaker.limit(1, 10.0)

    assert breaker.is_open
    clock.now += 61
    assert breaker.admit()
    breaker.failed()
    clock.now += 11
    assert breaker.admit()
