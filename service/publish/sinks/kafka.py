"""Alerts to a Kafka topic."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordTooLargeError

from service.errors import SinkRejectedError, SinkUnavailableError
from service.publish.schemas.native import Alert

NAME: Final = "kafka"
_encode: Final = msgspec.json.Encoder().encode


class KafkaSink:
    """Sends alerts keyed by fingerprint; a delivery is done when the broker has acknowledged it.

    Args:
        producer: started, and shared with the dead letters; whoever made it stops it.
        topic: where alerts go.
    """

    def __init__(self, producer: Any, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    async def deliver(self, alert: Alert) -> None:
        """Returns when the alert is acknowledged.

        Raises:
            SinkUnavailableError: not now.
            SinkRejectedError: never, as it is.
        """
        await send(self._producer, self._topic, alert.fingerprint.encode(), _encode(alert.body), [])


async def send(
    producer: Any, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    """One message, acknowledged.

    Raises:
        SinkUnavailableError: the broker cannot take it now.
        SinkRejectedError: the broker never will.
    """
    try:
        acknowledged = await producer.send(topic, value, key, headers=headers or None)
        await acknowledged
    except (MessageSizeTooLargeError, RecordTooLargeError) as error:
        raise SinkRejectedError("too_large") from error
    except (TimeoutError, KafkaError, OSError) as error:
        raise SinkUnavailableError(type(error).__name__) from error
