"""Rows of databases as Debezium captures them, with and without the schema beside the payload."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from service.decode.strings import at, first, texts
from service.records import Event, Origin

NAMES: Final = ("debezium",)


def recognise(document: dict[str, Any]) -> str | None:
    """The envelope's name if the document is one of this family."""
    payload = document.get("payload", document)
    if not isinstance(payload, dict) or not isinstance(payload.get("source"), dict):
        return None
    return "debezium" if "op" in payload and ("after" in payload or "before" in payload) else None


def events(document: dict[str, Any], name: str) -> Iterator[Event]:
    """One event: the row before and after, and where it is from. The schema holds names only and is left out."""
    wrapped = isinstance(document.get("payload"), dict)
    payload = document["payload"] if wrapped else document
    source = payload["source"]
    table = ".".join(part for part in (at(source, "db"), at(source, "schema"), first(source, "table", "collection")) if part)
    yield Event(
        Origin(
            type="log",
            envelope=name,
            source=table or None,
            host=at(source, "name"),
            time=first(payload, ("source", "ts_ms"), "ts_ms"),
        ),
        list(texts(document)),
    )
