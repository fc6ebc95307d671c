"""A real Chromium, steered over its DevTools protocol."""

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


def found() -> str:
    """Chromium's path; the test is skipped where there is none, but fails in CI."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    message = "Chromium is missing: `make tools` installs it on Debian"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, session: str) -> None:
        self._socket, self._session, self._numbers = socket, session, itertools.count(1)
        self.refused: list[str] = []
        """What the browser's console complained of."""

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol and its answer."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters, "sessionId": self._session})
        while True:
            answer = await self._socket.receive_json(timeout=60)
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Log.entryAdded":
            self.refused.append(event["params"]["entry"]["text"])

    async def open(self, address: str, width: int = 1440, height: int = 900, dark: bool = False, media: str = "screen") -> None:
        """Loads a page in a window of this size."""
        phone = width < 600
        await self.ask("Log.enable")
        await self.ask("Page.enable")
        await self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.ask("Emulation.setEmulatedMedia", media=media, features=scheme)
        await self.ask("Page.navigate", url=address)
        for _ in range(200):
            if await self.run("document.readyState === 'complete' && location.href !== 'about:blank'"):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{address} was not loaded")

    async def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = await self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def picture(self, file: str, whole: bool = False) -> None:
        """Saves what is seen as PNG."""
        answer = await self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        await asyncio.to_thread(Path(file).write_bytes, base64.b64decode(answer["data"]))


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[Page]:
    """Starts Chromium with a profile of its own, and ends it."""
    program = found()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            program,
            *_FLAGS,
            f"--user-data-dir={profile}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            told = Path(profile) / "DevToolsActivePort"
            for _ in range(600):
                if told.exists() and len(lines := told.read_text().splitlines()) == 2:
                    break
                await asyncio.sleep(0.1)
            else:
                raise AssertionError("Chromium did not start")
            async with (
                aiohttp.ClientSession() as client,
                client.ws_connect(f"ws://127.0.0.1:{lines[0]}{lines[1]}", max_msg_size=0) as socket,
            ):
                await socket.send_json({"id": 1, "method": "Target.getTargets"})
                targets = (await _answer(socket, 1))["targetInfos"]
                target = next(one["targetId"] for one in targets if one["type"] == "page")
                await socket.send_json(
                    {"id": 2, "method": "Target.attachToTarget", "params": {"targetId": target, "flatten": True}}
                )
                yield Page(socket, (await _answer(socket, 2))["sessionId"])
        finally:
            process.terminate()
            await process.wait()


async def _answer(socket: aiohttp.ClientWebSocketResponse, number: int) -> dict[str, Any]:
    while True:
        answer = json.loads((await socket.receive(timeout=60)).data)
        if answer.get("id") == number:
            result: dict[str, Any] = answer["result"]
            return result
