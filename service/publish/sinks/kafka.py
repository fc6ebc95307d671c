"""Messages to Kafka, many at once, each acknowledged or told why not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordTooLargeError

NAME: Final = "kafka"
TOO_LARGE: Final = (MessageSizeTooLargeError, RecordTooLargeError)
FAILED: Final = (KafkaError, TimeoutError, OSError)


class Message(NamedTuple):
    """What is sent. ``partition`` is chosen by the key if None.

    ``instead`` is sent where the broker will never take this one as it is; ``acknowledged`` is called when it, and not
    its stand-in, is safe.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    partition: int | None = None
    instead: Message | None = None
    acknowledged: Callable[[], None] | None = None


async def send(producer: Any, messages: Sequence[Message]) -> list[BaseException | None]:
    """Sends all and waits for all.

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
                    message.topic, message.value, message.key, message.partition, headers=list(message.headers) or None
                )
            )
        except TOO_LARGE as error:
            futures.append(_failed(error))
        except FAILED as error:
            futures += [_failed(error) for _ in messages[len(futures) :]]
            break
    for done in await asyncio.gather(*futures, return_exceptions=True):
        if isinstance(done, BaseException) and not isinstance(done, FAILED):
            raise done
        outcomes.append(done if isinstance(done, BaseException) else None)
    return outcomes


def _failed(error: BaseException) -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future
