"""The pages, asked for over a socket: found, searched, refused, and harmless whatever a detector file says."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from html.parser import HTMLParser

import aiohttp
import pytest
import pytest_asyncio

from service.records import Detector, LiveCheck, Location, Revocation, Severity
from service.settings import Telemetry
from service.telemetry.metrics import Metrics
from service.telemetry.server import Server
from service.web import as_html, as_markdown, pages, playbook
from service.web.as_html import Site
from service.web.library import Library
from service.web.playbook import Alert


class Parsed(HTMLParser):
    """The elements of a page and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def all(self, attribute: str) -> Iterator[str]:
        yield from (value for _, attributes in self.elements if (value := attributes.get(attribute)) is not None)


@pytest_asyncio.fixture
async def client(library: Library) -> AsyncIterator[aiohttp.ClientSession]:
    server = Server(Metrics().expose, dict, dict, {}, pages.routes(lambda: library))
    await server.start(Telemetry(port=0))
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
        yield session
    await server.stop()


async def text(client: aiohttp.ClientSession, path: str, status: int = 200) -> str:
    async with client.get(path) as answer:
        assert answer.status == status
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        return await answer.text()


async def test_the_overview_leads_to_every_category_and_provider(client: aiohttp.ClientSession, library: Library) -> None:
    links = set(Parsed(await text(client, "/playbooks/")).all("href"))

    assert {f"category/{group.slug}" for group in library.categories} <= links
    for group in library.providers:
        assert f"provider/{group.slug}" in links or group.detectors[0].id in links


async def test_the_address_without_a_slash_leads_to_the_overview(client: aiohttp.ClientSession) -> None:
    assert "<h1>Playbooks</h1>" in await text(client, "/playbooks")


async def test_a_playbook_has_its_page(client: aiohttp.ClientSession) -> None:
    said = await text(client, "/playbooks/wepay-access-token")

    assert "<h1>WePay access token" in said
    assert "WePay Partner Center &gt; the app &gt; App tokens" in said


async def test_links_of_pages_lead_to_pages(client: aiohttp.ClientSession) -> None:
    for start in ("/playbooks/", "/playbooks/wepay-access-token", "/playbooks/category/payment", "/playbooks/provider/stripe"):
        base = start.rsplit("/", 1)[0] + "/"
        links = [link for link in Parsed(await text(client, start)).all("href") if not link.startswith(("https:", "#"))]
        for link in links[:12]:
            async with client.get(base + link) as answer:
                assert answer.status == 200, (start, link)


async def test_categories_and_providers_have_pages(client: aiohttp.ClientSession) -> None:
    assert "stripe-live-secret-key" in await text(client, "/playbooks/category/payment")
    assert "stripe-live-secret-key" in await text(client, "/playbooks/provider/stripe")
    assert "There is no such playbook" in await text(client, "/playbooks/category/nothing", 404)


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("wepay access token", "wepay-access-token"),
        ("STRIPE live secret", "stripe-live-secret-key"),
        ("aws secret", "aws-secret"),
    ],
)
async def test_search_finds_by_words_the_best_first(client: aiohttp.ClientSession, words: str, first: str) -> None:
    said = await text(client, f"/playbooks/?q={words.replace(' ', '+')}")
    links = [link for link in Parsed(said).all("href") if re.fullmatch(r"[a-z0-9-]+", link) and "css" not in link]

    assert links[0].startswith(first)


async def test_search_that_finds_nothing_says_what_is_near(client: aiohttp.ClientSession) -> None:
    assert "did you mean wepay-" in await text(client, "/playbooks/?q=wepey-access-token")


async def test_what_is_searched_for_is_shown_as_text(client: aiohttp.ClientSession) -> None:
    said = await text(client, "/playbooks/?q=%3Cscript%3Ealert(1)%3C/script%3E'%22")

    assert "script" not in {tag for tag, _ in Parsed(said).elements}
    assert not [name for _, attributes in Parsed(said).elements for name in attributes if name.startswith("on")]


async def test_an_unknown_playbook_is_missing_with_near_ones(client: aiohttp.ClientSession) -> None:
    assert "did you mean wepay-access-token" in await text(client, "/playbooks/wepay-acces-token", 404)


async def test_programs_get_json_and_markdown(client: aiohttp.ClientSession) -> None:
    assert json.loads(await text(client, "/playbooks/wepay-access-token.json"))["provider"] == "WePay"
    assert (await text(client, "/playbooks/wepay-access-token.md")).startswith("# WePay access token")
    await text(client, "/playbooks/nothing.json", 404)
    await text(client, "/playbooks/nothing.md", 404)


async def test_a_page_needs_nothing_from_elsewhere_and_no_script(client: aiohttp.ClientSession) -> None:
    for path in ("/playbooks/", "/playbooks/wepay-access-token", "/playbooks/?q=x", "/playbooks/all"):
        page = Parsed(await text(client, path))
        assert not {"script", "img", "iframe", "object", "embed", "video", "audio", "style"} & {tag for tag, _ in page.elements}
        assert not list(page.all("style"))
        assert [tag["href"] for kind, tag in page.elements if kind == "link"] == ["style.css"]


async def test_pages_leave_the_other_endpoints_alone(client: aiohttp.ClientSession) -> None:
    async with client.get("/livez") as answer:
        assert answer.status == 200


EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>`</code><b>`[x](javascript:alert(1))\x1b]0;x\x07"


def hostile() -> Detector:
    return Detector(
        id="evil-key",
        name=EVIL,
        provider=EVIL,
        category=EVIL,
        severity=Severity.high,
        expression="x{20}",
        use=EVIL,
        risk=EVIL,
        companions=[EVIL],
        keywords=[EVIL],
        documentation="javascript:alert(1)",
        examples=["EVIL={secret}"],
        live=LiveCheck(url='https://x.invalid/"`$(id)`', headers={EVIL: EVIL}, note=EVIL),
        revoke=Revocation(console=f"{EVIL} > {EVIL}", api=EVIL, documentation='https://x.invalid/"onmouseover="alert(1)'),
    )


def test_a_hostile_detector_file_is_shown_as_text() -> None:
    library = Library([hostile()])
    place = Location(type="code", path=EVIL, repository=EVIL, url="data:text/html,x", author=EVIL)
    document = library.playbook(hostile(), Alert(location=place))
    site = Site()
    for page in (
        as_html.alone(document),
        as_html.playbook(site, document, library),
        as_html.front(site, library),
        as_html.group(site, library.providers[0], "x"),
        as_html.results(site, EVIL, library.detectors, EVIL),
        as_html.missing(site, EVIL),
    ):
        parsed = Parsed(page)
        assert not {"script", "img", "b"} & {tag for tag, _ in parsed.elements}
        assert not [name for _, attributes in parsed.elements for name in attributes if name.startswith("on")]
        assert all(link.startswith(("https:", "#")) or re.fullmatch(r"[a-z0-9/.-]*", link) for link in parsed.all("href"))
    outside = re.sub(r"(?ms)^(`{3,}).*?^\1$|`[^`]*`", "", as_markdown.render(document))
    assert not re.search(r"(?<!\\)<|(?<!\\)\]\((?!https://)|\x1b", outside)


def test_a_hostile_header_stays_inside_its_quotes_in_the_command() -> None:
    live = LiveCheck(url="https://x.invalid/$(touch a)", headers={"A": '"; touch b; `touch c` {secret}'})
    detector = Detector(**{**{name: getattr(hostile(), name) for name in Detector.__struct_fields__}, "live": live})
    said = as_markdown.render(playbook.write(detector))

    assert '-H "A: \\"; touch b; \\`touch c\\` ${EVIL_KEY}"' in said
    assert '"https://x.invalid/\\$(touch a)"' in said


def test_a_user_name_in_an_address_makes_it_no_link() -> None:
    from service.web.document import is_sound

    assert is_sound("https://docs.acme.invalid/keys?a=1#b")
    for address in (
        "http://acme.invalid/",
        "javascript:alert(1)",
        "https://user@acme.invalid/",
        "https://",
        "https://acme",
        "https://acme.invalid/ x",
        'https://acme.invalid/"',
        "https://[::1",
        "//acme.invalid",
        "",
    ):
        assert not is_sound(address), address
