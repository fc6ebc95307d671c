"""Dead letters: what cannot be processed, as it came, with the reason in its headers.

The reason is from a closed list, never an exception's text, which may quote the payload. When too much of what is read ends
here the consumer stops: a bad deployment must not empty a topic into its dead letters.
"""

from __future__ import annotations

from typing import Final

from service.errors import TooManyDeadLettersError
from service.records import Record

WINDOW_RECORDS: Final = 1_000


def letter(
    record: Record, reason: str, error: str, version: str
) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]:
    """Key, value and headers of a dead letter: the record's own, and where and why behind them."""
    headers: list[tuple[str, bytes | None]] = list(record.headers)
    said = {
        "sluice.reason": reason,
        "sluice.error": error,
        "sluice.topic": record.topic,
        "sluice.partition": str(record.partition),
        "sluice.offset": str(record.offset),
        "sluice.timestamp": str(record.timestamp),
        "sluice.version": version,
    }
    headers += [(name, value.encode()) for name, value in said.items() if value]
    return record.key, record.value, headers


class Limit:
    """Says when to stop.

    Args:
        max_ratio: of dead letters to records, over at least :data:`WINDOW_RECORDS` records.
        max_consecutive: dead letters without a good record between them.
    """

    def __init__(self, max_ratio: float, max_consecutive: int) -> None:
        self._max_ratio = max_ratio
        self._max_consecutive = max_consecutive
        self._records = 0
        self._letters = 0
        self._consecutive = 0

    def note(self, records: int, letters: int) -> None:
        """Takes note of a batch.

        Raises:
            TooManyDeadLettersError: the limit is passed.
        """
        self._consecutive = self._consecutive + letters if letters and letters == records else 0
        self._records += records
        self._letters += letters
        ratio = self._letters / max(self._records, WINDOW_RECORDS)
        if self._consecutive > self._max_consecutive or ratio > self._max_ratio:
            raise TooManyDeadLettersError(
                f"{self._letters} of the last {self._records} records are dead letters: the limit is passed and nothing more is"
                " read. See the reasons in the headers of the dead letters; dead_letters.max_ratio raises the limit"
            )
        if self._records >= WINDOW_RECORDS:
            self._records //= 2
            self._letters //= 2
