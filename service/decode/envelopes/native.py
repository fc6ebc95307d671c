"""Sluice's own events of code and logs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from service.decode.strings import at, first, texts
from service.records import Event, Origin, Text

NAMES: Final = ("native",)
_BODIES: Final = ("content", "patch", "message")


def recognise(document: dict[str, Any]) -> str | None:
    """The envelope's name if the document is one of this family."""
    typed = document.get("type") in ("code", "log")
    return "native" if typed and any(isinstance(document.get(body), str) for body in _BODIES) else None


def events(document: dict[str, Any], name: str) -> Iterator[Event]:
    """One event, its body with the line numbers of the file."""
    author = document.get("author")
    origin = Origin(
        type=str(document["type"]),
        envelope=name,
        id=at(document, "id"),
        repository=at(document, "repository"),
        ref=at(document, "ref"),
        commit=at(document, "commit"),
        path=at(document, "path"),
        url=at(document, "url"),
        author=first(author, "email", "name") if isinstance(author, dict) else at(document, "author"),
        source=at(document, "source"),
        host=at(document, "host"),
        time=at(document, "time"),
    )
    start = document.get("start_line")
    first_line = start if isinstance(start, int) and 0 < start < 1 << 40 else 1
    found = []
    for key, item in document.items():
        # a file's text keeps its lines, also where it is a JSON file
        if key == "content" and isinstance(item, str):
            found.append(Text(item.encode("utf-8", "surrogatepass"), key, first_line))
        elif key == "patch" and isinstance(item, str):
            found.append(Text(item.encode("utf-8", "surrogatepass"), key, kind="patch"))
        elif key == "message" and isinstance(item, str):
            found.extend(Text(t.data, t.field, name=None if t.field == key else t.name) for t in texts({key: item}))
        else:
            found.extend(texts({key: item}))
    yield Event(origin, found)
