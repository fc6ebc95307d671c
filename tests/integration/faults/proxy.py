"""A network that can be broken: everything between a service and its broker goes through it."""

import asyncio
import contextlib
from typing import Literal

Mode = Literal["open", "hang", "refuse"]


class Proxy:
    """Passes on what comes to a port of the loopback address.

    Args:
        port: where it listens.
        target: host:port of the broker's listener.
    """

    def __init__(self, port: int, target: str) -> None:
        self.address = f"127.0.0.1:{port}"
        self.mode: Mode = "open"
        self.delay = 0.0
        """Seconds that everything takes longer, in each direction."""
        self._port = port
        self._host, _, target_port = target.rpartition(":")
        self._target_port = int(target_port)
        self._server: asyncio.Server | None = None
        self._streams: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.passed = 0
        """Bytes so far."""

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.close()
        self.reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def reset(self) -> None:
        """Every connection ends at once, whatever is on its way."""
        for writer in list(self._streams):
            writer.transport.abort()

    def cut(self) -> None:
        """Every connection ends and no new one is taken, until :meth:`mend`."""
        self.mode = "refuse"
        self.reset()

    def hang(self) -> None:
        """Connections stay, and nothing passes: what a firewall does that drops packets."""
        self.mode = "hang"

    def mend(self) -> None:
        """All is well again. What was held back while it hung is passed on."""
        self.mode, self.delay = "open", 0.0

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode == "refuse":
            writer.transport.abort()
            return
        try:
            there_reader, there_writer = await asyncio.open_connection(self._host, self._target_port)
        except OSError:
            writer.transport.abort()
            return
        for one, other in ((reader, there_writer), (there_reader, writer)):
            self._streams.add(other)
            task = asyncio.create_task(self._pass_on(one, other))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                while self.mode == "hang":
                    await asyncio.sleep(0.05)
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
                self.passed += len(data)
        except OSError:
            pass
        finally:
            self._streams.discard(writer)
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()
