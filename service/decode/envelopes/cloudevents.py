"""CloudEvents 1.0, structured and binary (its Kafka protocol binding). What they carry is looked at again by itself."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from service.decode.strings import at, texts
from service.records import Event, Origin

NAMES: Final = ("cloudevents",)
Inner = Iterator[Event]


def recognise(document: dict[str, Any]) -> str | None:
    """The envelope's name if the document is one of this family."""
    has = document.keys()
    return "cloudevents" if {"specversion", "source", "type"} <= has else None


def events(document: dict[str, Any], name: str) -> Iterator[Event]:
    """The attributes, and the data as the text or document that it is."""
    rest = {key: value for key, value in document.items() if key != "data_base64"}
    yield Event(_origin({key: at(document, key) for key in ("id", "source", "subject", "time")}), list(texts(rest)))


def payload(document: dict[str, Any]) -> bytes | None:
    """The bytes of ``data_base64``; None where there are none."""
    packed = document.get("data_base64")
    if not isinstance(packed, str):
        return None
    try:
        return base64.b64decode(packed)
    except (binascii.Error, ValueError):
        return None


def of_headers(headers: Sequence[tuple[str, bytes | None]]) -> Origin | None:
    """What the headers of the binary mode say; None if it is not that."""
    said = {name[3:]: (value or b"").decode("utf-8", "replace") for name, value in headers if name.startswith("ce_")}
    return _origin(said) if "specversion" in said and "source" in said else None


def merged(outer: Origin, inner: Origin) -> Origin:
    """The inner event's origin, with the outer's where it says nothing itself."""
    said = {key: value for key, value in msgspec.structs.asdict(inner).items() if value}
    if inner.type == "unknown":
        said.pop("type", None)
    said["envelope"] = "cloudevents"
    return Origin(**{**msgspec.structs.asdict(outer), **said})


def _origin(said: dict[str, str | None] | dict[str, str]) -> Origin:
    return Origin(
        type="log",
        envelope="cloudevents",
        id=said.get("id"),
        source=said.get("source"),
        path=said.get("subject"),
        time=said.get("time"),
    )
