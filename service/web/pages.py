"""The playbooks' pages under ``/playbooks/``: an overview, a search, categories, providers, one page a secret type.

Pages hold nothing of any alert and no secret: whoever reaches the endpoint may read them. They need no script, and a strict
Content-Security-Policy forbids any.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aiohttp import web

from service.web import as_html, as_markdown
from service.web.as_html import Site
from service.web.document import as_json
from service.web.library import Group, Library

Source = Callable[[], Library]
"""Gives the playbooks of the catalogue that is in use at this moment."""

_MOST_LETTERS: Final = 100
_POLICY: Final = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_FRONT: Final = Site()
_BELOW: Final = Site(root="../")


def routes(library: Source) -> Sequence[web.RouteDef]:
    """What a server adds to its own routes."""

    def get(path: str, page: Callable[[Library, web.Request], web.Response]) -> web.RouteDef:
        async def handler(request: web.Request) -> web.StreamResponse:
            return page(library(), request)

        answer: Callable[[web.Request], Awaitable[web.StreamResponse]] = handler
        return web.get(path, answer)

    return [
        get("/playbooks", lambda _, request: _moved("/playbooks/", request)),
        get("/playbooks/", _front),
        get("/playbooks/style.css", lambda *_: _answer(as_html.STYLE, "text/css")),
        get(
            "/playbooks/all", lambda found, _: _group(_FRONT, Group("all", "All secret types", found.detectors), "by provider.")
        ),
        get("/playbooks/category/{slug}", _category),
        get("/playbooks/provider/{slug}", _provider),
        get("/playbooks/{id}.json", _json),
        get("/playbooks/{id}.md", _markdown),
        get("/playbooks/{id}", _playbook),
    ]


def _answer(text: str, kind: str = "text/html", status: int = 200) -> web.Response:
    return web.Response(text=text, content_type=kind, charset="utf-8", status=status, headers=_HEADERS)


def _moved(place: str, request: web.Request) -> web.Response:
    query = f"?{request.query_string}" if request.query_string else ""
    return web.Response(status=308, headers={**_HEADERS, "Location": place + query})


def _front(library: Library, request: web.Request) -> web.Response:
    words = " ".join(request.query.get("q", "")[:_MOST_LETTERS].split())
    if not words:
        return _answer(as_html.front(_FRONT, library))
    found = library.search(words)
    return _answer(as_html.results(_FRONT, words, found, "" if found else library.nearest(words)))


def _group(site: Site, group: Group | None, what: str) -> web.Response:
    if group is None:
        return _missing(site, "The overview lists all categories and providers.")
    return _answer(as_html.group(site, group, what))


def _category(library: Library, request: web.Request) -> web.Response:
    return _group(_BELOW, _named(library.categories, request), "in this category, by provider.")


def _provider(library: Library, request: web.Request) -> web.Response:
    return _group(_BELOW, _named(library.providers, request), "of this provider.")


def _named(groups: Sequence[Group], request: web.Request) -> Group | None:
    return next((group for group in groups if group.slug == request.match_info["slug"]), None)


def _playbook(library: Library, request: web.Request) -> web.Response:
    wanted = request.match_info["id"]
    if wanted not in library:
        return _missing(_FRONT, f"{wanted[:_MOST_LETTERS]}: {library.nearest(wanted[:_MOST_LETTERS])}")
    return _answer(as_html.playbook(_FRONT, library.playbook(library.detector(wanted)), library))


def _markdown(library: Library, request: web.Request) -> web.Response:
    wanted = request.match_info["id"]
    if wanted not in library:
        return _answer(f"{library.nearest(wanted[:_MOST_LETTERS])}\n", "text/plain", 404)
    return _answer(as_markdown.render(library.playbook(library.detector(wanted))), "text/markdown")


def _json(library: Library, request: web.Request) -> web.Response:
    wanted = request.match_info["id"]
    if wanted not in library:
        return web.json_response({"error": library.nearest(wanted[:_MOST_LETTERS])}, status=404, headers=_HEADERS)
    return web.json_response(as_json(library.playbook(library.detector(wanted))), headers=_HEADERS)


def _missing(site: Site, hint: str) -> web.Response:
    return _answer(as_html.missing(site, hint), status=404)
