"""What keeps us polite and the stream fast: a rate for each provider, and a breaker for one that is down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

LONGEST_OPEN_SECONDS: Final = 900.0


class Rate:
    """Spaces requests evenly: at most ``per_second`` of them for one provider, more than that wait their turn."""

    def __init__(self, per_second: float, clock: Callable[[], float]) -> None:
        self._interval = 1 / per_second
        self._clock = clock
        self._next = 0.0

    def pace(self, per_second: float) -> None:
        """Another rate from now on."""
        self._interval = 1 / per_second

    def take(self) -> float:
        """Takes the next turn. Seconds until it comes."""
        now = self._clock()
        turn = max(now, self._next)
        self._next = turn + self._interval
        return turn - now

    def hold(self, seconds: float) -> None:
        """Nothing is sent for so long: the provider asked for it."""
        self._next = max(self._next, self._clock() + seconds)

    @property
    def wait(self) -> float:
        """Seconds until the next turn, without taking it."""
        return max(0.0, self._next - self._clock())


class Breaker:
    """Opens after failures in a row, for a time that doubles while one try after another fails."""

    def __init__(self, failures: int, seconds: float, clock: Callable[[], float]) -> None:
        self._limit = failures
        self._first = self._seconds = seconds
        self._clock = clock
        self._failures = 0
        self._until = 0.0
        self._trying = False

    def limit(self, failures: int, seconds: float) -> None:
        """Other limits from now on; one that is open stays so until its time is over."""
        if seconds != self._first:
            self._first = self._seconds = seconds
        self._limit = failures

    @property
    def is_open(self) -> bool:
        """True while the provider is left alone."""
        return self._failures >= self._limit and (self._trying or self._clock() < self._until)

    def admit(self) -> bool:
        """True if a request may be sent now; behind an open breaker one is let through when its time is over."""
        if self.is_open:
            return False
        self._trying = self._failures >= self._limit
        return True

    def succeeded(self) -> None:
        """The provider answered, whatever it said."""
        self._failures, self._seconds, self._trying = 0, self._first, False

    def failed(self) -> None:
        """The provider did not answer, or had a fault of its own."""
        self._failures += 1
        if self._failures >= self._limit:
            self._until = self._clock() + self._seconds
            self._seconds = min(2 * self._seconds, LONGEST_OPEN_SECONDS)
        self._trying = False

    def released(self) -> None:
        """A try that ended without telling anything."""
        self._trying = False
