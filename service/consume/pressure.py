"""How much is fetched at once: no more than memory has room for, and less while what comes after is slow.

The library holds one chunk of each partition that nobody took yet, so the size of a chunk bounds what it holds: the room
is shared among the partitions. What is fetched while sinks are behind only waits in memory; the chunks are halved then, and
grow again once sinks follow. Where nothing can be handed on any more the stage stops fetching altogether.
"""

from __future__ import annotations

from typing import Final

LEAST_BYTES: Final = 64 * 1024
"""Of a chunk: for less, asking would cost more than what is fetched. A record that is larger comes all the same."""
LONG_SECONDS: Final = 1.0
"""A turn that takes longer has taken too much at once: nothing is committed and no worker asked to stop meanwhile."""
SHORT_SECONDS: Final = 0.25


class Pressure:
    """The size of the chunks.

    Args:
        most_bytes: of a chunk, when all is well.
        room_bytes: of all chunks together.
    """

    def __init__(self, most_bytes: int, room_bytes: int) -> None:
        self._most = most_bytes
        self._room = room_bytes
        self._share = most_bytes
        self._chunk = most_bytes

    @property
    def chunk(self) -> int:
        """What is fetched of a partition at once, in bytes."""
        return min(self._chunk, self._share)

    def assigned(self, partitions: int) -> None:
        """So many partitions share the room."""
        self._share = max(min(self._most, LEAST_BYTES), min(self._most, self._room // max(1, partitions)))

    def note(self, seconds: float, waiting: float) -> None:
        """What a turn showed.

        Args:
            seconds: it took, for what was fetched.
            waiting: what is handed on and not acknowledged, as a share of the most that may be.
        """
        if seconds > LONG_SECONDS or waiting > 0.5:
            self._chunk = max(min(self._most, LEAST_BYTES), self.chunk // 2)
        elif seconds < SHORT_SECONDS and waiting < 0.25:
            self._chunk = min(self._most, 2 * self._chunk)
