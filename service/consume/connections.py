"""aiokafka on uvloop: a connection that is gone is told in the library's own words.

Where a transport is closed already, asyncio's writes warn, and uvloop's raise ``RuntimeError``
(``UVHandle._ensure_alive``). aiokafka expects an ``OSError`` there and tries another connection; the other one ends its
background tasks, which nobody starts again: the client keeps the metadata that it has, and falls when it is closed.
"""

import functools
from collections.abc import Callable
from typing import Any, Final

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError, KafkaError

_Send = Callable[..., Any]

_MARK: Final = "_tells_closed"


def _telling(send: _Send) -> _Send:
    @functools.wraps(send)
    def sending(connection: AIOKafkaConnection, *given: Any, **named: Any) -> Any:
        try:
            return send(connection, *given, **named)
        except KafkaError:  # a RuntimeError too, and the library's own word
            raise
        except RuntimeError as error:
            connection.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {connection.host}:{connection.port} broken: {error}") from error

    setattr(sending, _MARK, True)
    return sending


def install() -> None:
    """Makes every connection of this process tell a closed transport as ``KafkaConnectionError``; once."""
    for name in ("send", "_send_sasl_token"):
        send = getattr(AIOKafkaConnection, name)
        if not hasattr(send, _MARK):
            setattr(AIOKafkaConnection, name, _telling(send))
