"""Which offsets may be committed: those before which everything is delivered."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

Partition = tuple[str, int]


class Work:
    """What came from one place of a partition: done when each of its deliveries is."""

    __slots__ = ("next_offset", "pending")

    def __init__(self, next_offset: int, pending: int) -> None:
        self.next_offset: Final = next_offset
        self.pending = pending


class Offsets:
    """For each assigned partition the work in flight, in order, and how far everything is done.

    A position is the next offset to consume, as Kafka commits it.
    """

    def __init__(self) -> None:
        self._work: dict[Partition, deque[Work]] = {}
        self._done: dict[Partition, int] = {}
        self._committed: dict[Partition, int] = {}

    def begin(self, partition: Partition, next_offset: int, pending: int) -> Work | None:
        """Takes note that everything before ``next_offset`` was read, with so many deliveries still to be made.

        Returns:
            The work, of which :meth:`finish` tells each delivery; None if there is nothing to wait for.
        """
        queue = self._work.get(partition)
        if not pending and not queue:
            self._done[partition] = next_offset
            return None
        if queue is None:
            queue = self._work[partition] = deque()
        work = Work(next_offset, pending)
        queue.append(work)
        return work if pending else None

    def finish(self, partition: Partition, work: Work) -> None:
        """One delivery of the work is made. Of a partition that was revoked meanwhile, nothing is noted."""
        work.pending -= 1
        queue = self._work.get(partition)
        while queue and not queue[0].pending:
            self._done[partition] = queue.popleft().next_offset

    @property
    def in_flight(self) -> int:
        """Deliveries still to be made."""
        return sum(work.pending for queue in self._work.values() for work in queue)

    def position(self, partition: Partition) -> int | None:
        """How far everything of a partition is done; None if nothing was read of it yet."""
        return self._done.get(partition)

    def due(self) -> dict[Partition, int]:
        """Positions that are further than those last committed."""
        return {p: offset for p, offset in self._done.items() if self._committed.get(p) != offset}

    def committed(self, positions: dict[Partition, int]) -> None:
        """These positions are with the broker."""
        self._committed.update(positions)

    def forget(self, partitions: Iterable[Partition] | None = None) -> None:
        """These partitions were revoked, all if None."""
        for of_each in (self._work, self._done, self._committed):
            for partition in list(of_each if partitions is None else partitions):
                of_each.pop(partition, None)
