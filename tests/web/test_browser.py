"""The pages in a real Chromium: axe finds nothing, nothing scrolls sideways, nothing comes from elsewhere, print is whole."""

import os
from collections.abc import AsyncIterator

import pytest_asyncio

from service.settings import Telemetry
from service.telemetry.metrics import Metrics
from service.telemetry.server import Server
from service.web import pages
from service.web.library import Library
from tests.web.browser import Page, browser
from tests.web.proof import installed

PAGES = (
    "",
    "wepay-access-token",
    "stripe-live-publishable-key",
    "category/payment",
    "provider/stripe",
    "?q=aws",
    "?q=zzzz",
    "nothing",
)
PICTURES = os.environ.get("SLUICE_PICTURES")
"""A folder for pictures of the pages, to be looked at."""


@pytest_asyncio.fixture
async def address(library: Library) -> AsyncIterator[str]:
    server = Server(Metrics().expose, dict, dict, {}, pages.routes(lambda: library))
    await server.start(Telemetry(port=0))
    yield f"http://127.0.0.1:{server.port}/playbooks/"
    await server.stop()


@pytest_asyncio.fixture
async def page() -> AsyncIterator[Page]:
    async with browser() as found:
        yield found


async def test_axe_finds_nothing(address: str, page: Page) -> None:
    axe = (installed() / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")
    for width, dark in ((390, False), (1440, False), (1440, True)):
        for path in PAGES:
            await page.open(address + path, width, dark=dark)
            await page.run("document.querySelectorAll('details').forEach(one => { one.open = true; })")
            await page.run(axe + "; undefined")
            found = await page.run(
                "axe.run().then(all => all.violations.map(one => [one.id, one.nodes.map(node => node.html)]))"
            )
            assert found == [], (path, width, dark)


async def test_axe_would_find_something(page: Page) -> None:
    axe = (installed() / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")
    await page.open("data:text/html,<img src=x><p style='color:%23eee;background:%23fff'>faint</p>")
    await page.run(axe + "; undefined")

    assert "image-alt" in await page.run("axe.run().then(all => all.violations.map(one => one.id))")


async def test_pages_fit_a_phone(address: str, page: Page) -> None:
    for path in PAGES:
        await page.open(address + path, 390, 844)
        assert await page.run("document.documentElement.scrollWidth") <= 390, path


async def test_nothing_is_loaded_from_elsewhere_and_nothing_is_refused(address: str, page: Page) -> None:
    for path in PAGES:
        await page.open(address + path)
        loaded = await page.run("performance.getEntriesByType('resource').map(one => one.name)")
        assert loaded == [address + "style.css"] or all(one.startswith(address) for one in loaded), path
    assert [told for told in page.refused if "404" not in told] == []


async def test_a_search_works_with_the_keyboard_alone(address: str, page: Page) -> None:
    await page.open(address)
    await page.run("document.getElementById('q').focus()")
    await page.ask("Input.insertText", text="wepay access")
    for kind in ("rawKeyDown", "char", "keyUp"):
        await page.ask("Input.dispatchKeyEvent", type=kind, key="Enter", text="\r", windowsVirtualKeyCode=13)
    for _ in range(100):
        if "q=wepay" in str(await page.run("location.search")):
            break
    assert await page.run("document.querySelector('.types a').textContent") == "WePay access token (App-Token)"


async def test_print_leaves_out_what_paper_cannot_use(address: str, page: Page) -> None:
    await page.open(address + "wepay-access-token", media="print")
    shown = "getComputedStyle(document.querySelector('{}')).display"

    assert await page.run(shown.format("header")) == "none"
    assert await page.run(shown.format("#first ol")) != "none"
    assert await page.run("getComputedStyle(document.querySelector('pre')).whiteSpace") == "pre-wrap"


if PICTURES:

    async def test_pictures_to_be_looked_at(address: str, page: Page) -> None:
        folder = PICTURES or ""
        for path, name in (
            ("", "list"),
            ("wepay-access-token", "page"),
            ("?q=aws", "search"),
            ("category/payment", "category"),
        ):
            for width, height in ((390, 844), (1440, 900)):
                await page.open(address + path, width, height)
                await page.picture(f"{folder}/{name}-{width}.png")
            await page.open(address + path, 1440, 900, dark=True)
            await page.picture(f"{folder}/{name}-dark.png")
        for width in (390, 1440):
            await page.open(address + "wepay-access-token", width, 4000, media="print")
            await page.picture(f"{folder}/print-{width}.png")
