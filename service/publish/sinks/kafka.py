"""Messages to Kafka, many at once, each acknowledged or told why not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import IllegalOperation, InvalidTimestampError, KafkaError, MessageSizeTooLargeError, RecordTooLargeError

from service.telemetry import logs

_log = logs.get("publish")
NAME: Final = "kafka"
TOO_LARGE: Final = (MessageSizeTooLargeError, RecordTooLargeError)
LEARNED_FROM: Final = (*TOO_LARGE, InvalidTimestampError)
"""Refusals after which the same messages are sent in another way; see :class:`Terms`."""
FAILED: Final = (KafkaError, TimeoutError, OSError, IllegalOperation)
"""What can be tried again. The last is the library's word for a transaction of which something else has failed already."""
BATCH_BYTES: Final = (128 * 1024, 16 * 1024, 1)
"""Messages of a partition that go together: so many as the first says, where a topic takes less as the next. Each of them is a
round trip, and one follows the other."""
UNTIMED_SECONDS: Final = 60.0
_NO_TIME: Final = -1


class Message(NamedTuple):
    """What is sent. ``partition`` is chosen by the key if None.

    ``instead`` makes what is sent where the broker will never take this one as it is; ``acknowledged`` is called when it,
    and not its stand-in, is safe.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    partition: int | None = None
    instead: Callable[[], Message] | None = None
    acknowledged: Callable[[], None] | None = None


class Terms:
    """On what terms topics take our messages, as their refusals tell.

    Topics limit the size of a batch: where messages are refused together, fewer go together from then on, in the end each in a
    batch of its own, and only what is refused alone is too large. They also refuse times that are too far ahead (an hour by
    default): while the clock of this machine is that wrong, messages go without a time.
    """

    def __init__(self) -> None:
        self.batch_bytes = BATCH_BYTES[0]
        """What a producer may put into one batch; one message goes in any case."""
        self._untimed_until = 0.0

    @property
    def timestamp(self) -> int | None:
        """What to give messages as their time; None: the present."""
        return _NO_TIME if time.monotonic() < self._untimed_until else None

    def is_alone(self, message: Message) -> bool:
        """True if nothing else is in a batch with it."""
        return len(message.key or b"") + len(message.value or b"") >= self.batch_bytes or self.batch_bytes == 1

    def learn(self, outcomes: Iterable[BaseException | None], all_alone: bool) -> bool:
        """Takes note of what became of messages.

        Args:
            outcomes: theirs.
            all_alone: each of those that were too large was in a batch of its own.

        Returns:
            True if another attempt, at once and with another producer, goes differently: the one that was refused a
            batch has counted it, and the broker misses it ever after.
        """
        reasons = [outcome for outcome in outcomes if isinstance(outcome, LEARNED_FROM)]
        too_large = any(isinstance(reason, TOO_LARGE) for reason in reasons)
        untimely = any(isinstance(reason, InvalidTimestampError) for reason in reasons)
        if too_large and not all_alone:
            self.batch_bytes = next((less for less in BATCH_BYTES if less < self.batch_bytes), self.batch_bytes)
            _log.info("a topic takes small batches only", bytes=self.batch_bytes)
        if untimely and self.timestamp is None:
            self._untimed_until = time.monotonic() + UNTIMED_SECONDS
            _log.error("a topic refuses our times: the clock of this machine is wrong; sending without", told=time.time())
        elif untimely:
            return too_large
        return bool(reasons)


async def send(
    producer: Any,
    messages: Sequence[Message],
    timestamp: int | None = None,
    reached: dict[TopicPartition, int] | None = None,
) -> list[BaseException | None]:
    """Sends all and waits for all.

    Args:
        producer: aiokafka's.
        messages: what to send.
        timestamp: of all of them, in milliseconds since the epoch; the present if None.
        reached: takes the last offset in each partition of what is acknowledged; -1 where the broker did not tell.

    Returns:
        For each message None if it is acknowledged, or what came in the way. After the first one that cannot even be
        handed to the producer the others are not tried.
    """
    futures: list[asyncio.Future[Any]] = []
    outcomes: list[BaseException | None] = []
    for message in messages:
        try:
            futures.append(
                await producer.send(
                    message.topic,
                    message.value,
                    message.key,
                    message.partition,
                    timestamp,
                    headers=list(message.headers) or None,
                )
            )
        except TOO_LARGE as error:
            futures.append(_failed(error))
        except FAILED as error:
            futures += [_failed(error) for _ in messages[len(futures) :]]
            break
        except BaseException:
            for future in futures:
                future.cancel()  # nobody waits for them any more
            raise
    for done in await asyncio.gather(*futures, return_exceptions=True):
        if isinstance(done, BaseException) and not isinstance(done, FAILED):
            raise done
        outcomes.append(done if isinstance(done, BaseException) else None)
        if reached is not None and not isinstance(done, BaseException):
            reached[done.topic_partition] = done.offset
    return outcomes


def _failed(error: BaseException) -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future
