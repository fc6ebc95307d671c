"""A connection that is gone is told in the library's words, on uvloop too."""

import asyncio
import struct

import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest

from service import app
from service.consume import connections


async def _broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers each request with no error and no versions."""
    try:
        while True:
            (size,) = struct.unpack(">i", await reader.readexactly(4))
            request = await reader.readexactly(size)
            writer.write(struct.pack(">i", 10) + request[4:8] + struct.pack(">hi", 0, 0))
    except (asyncio.IncompleteReadError, OSError):
        writer.close()


async def _ask_where_it_is_gone() -> None:
    server = await asyncio.start_server(_broker, "127.0.0.1", 0)
    async with server:
        connection = AIOKafkaConnection("127.0.0.1", server.sockets[0].getsockname()[1], request_timeout_ms=2000)
        await connection.connect()
        transport = connection._writer.transport
        transport.abort()
        connection._read_task.cancel()  # the reader, which would notice first
        await asyncio.sleep(0.05)
        assert connection._writer is not None, "the library noticed by itself: nothing is tried here"
        with pytest.raises(KafkaConnectionError):
            await connection.send(ApiVersionRequest())
        assert not connection.connected()


def test_a_closed_transport_is_an_error_of_the_connection() -> None:
    with asyncio.Runner(loop_factory=app.new_loop) as runner:
        runner.run(_ask_where_it_is_gone())


def test_it_is_put_in_place_once() -> None:
    connections.install()
    first = AIOKafkaConnection.send
    connections.install()
    assert AIOKafkaConnection.send is first
