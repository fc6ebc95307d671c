"""All playbooks as files that any web server can serve, or a browser can open from the disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from service.errors import SluiceError
from service.web import as_html
from service.web.as_html import Site
from service.web.library import Group, Library

_END = "/index.html"


def files(library: Library) -> Iterator[tuple[str, str]]:
    """Path and content of each file; links are relative, so the site can live under any address."""
    front, below, deep = (Site(root, _END, search=False) for root in ("", "../", "../../"))
    yield "style.css", as_html.STYLE
    yield "index.html", as_html.front(front, library)
    everything = Group("all", "All secret types", library.detectors)
    yield "all/index.html", as_html.group(below, everything, "by provider.")
    for group in library.categories:
        yield f"category/{group.slug}/index.html", as_html.group(deep, group, "in this category, by provider.")
    for group in library.providers:
        yield f"provider/{group.slug}/index.html", as_html.group(deep, group, "of this provider.")
    for detector in library.detectors:
        yield f"{detector.id}/index.html", as_html.playbook(below, library.playbook(detector), library)


def build(library: Library, folder: Path) -> Iterator[int]:
    """Writes the site, and tells after each file how many are written.

    Raises:
        SluiceError: the folder holds something else already, or cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / "style.css").is_file():
            raise SluiceError(f"{folder}: an empty folder expected, or one with a site of an earlier run")
        for number, (path, content) in enumerate(files(library), 1):
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content, "utf-8")
            yield number
    except OSError as error:
        raise SluiceError(f"{folder}: cannot be written: {error.strerror}") from error
