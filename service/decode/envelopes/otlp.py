"""OpenTelemetry logs, in JSON and in protobuf (opentelemetry-proto, ``logs/v1/logs.proto``).

The protobuf reader is of our own: four kinds of fields are all it has to know, and it takes nothing that is not whole.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import struct
from collections.abc import Iterator
from typing import Any, Final

from service.decode.strings import at, first, texts
from service.records import Event, Origin, Text

NAMES: Final = ("otlp",)
MOST_NESTED: Final = 16
Fields = list[tuple[int, int | bytes]]


def recognise(document: dict[str, Any]) -> str | None:
    """The envelope's name if the document is one of this family."""
    return "otlp" if isinstance(document.get("resourceLogs"), list) else None


def events(document: dict[str, Any], name: str) -> Iterator[Event]:
    """One event a resource."""
    for index, resource in enumerate(document["resourceLogs"]):
        attributes = _attributes(resource)
        found = []
        for text in texts(resource, f"resourceLogs[{index}]"):
            found.append(text)
            if text.field.endswith(".bytesValue"):
                with contextlib.suppress(binascii.Error):
                    found.append(Text(base64.b64decode(text.data), text.field))
        record = ("scopeLogs", 0, "logRecords", 0)
        time = first(resource, (*record, "timeUnixNano"), (*record, "observedTimeUnixNano"))
        yield Event(_origin(attributes, time), _named(found))
    rest = {key: item for key, item in document.items() if key != "resourceLogs"}
    if rest:
        yield Event(Origin(type="log", envelope="otlp"), list(texts(rest)))


def _named(found: list[Text]) -> list[Text]:
    """Attributes are written as key and value side by side: the key becomes the value's name."""
    named = []
    key: Text | None = None
    for text in found:
        if text.field.endswith(".key"):
            key = text
        elif key is not None and text.field.startswith(key.field[:-4] + ".value"):
            text = Text(text.data, text.field, name=key.data)
        named.append(text)
    return named


def _attributes(resource: Any) -> dict[str, str]:
    given = resource.get("resource") if isinstance(resource, dict) else None
    listed = given.get("attributes") if isinstance(given, dict) else None
    found = {}
    for attribute in listed if isinstance(listed, list) else ():
        key, value = at(attribute, "key"), at(attribute, "value", "stringValue")
        if key and value:
            found[key] = value
    return found


def _origin(attributes: dict[str, str], time: str | None) -> Origin:
    return Origin(
        type="log",
        envelope="otlp",
        source=attributes.get("log.file.path") or attributes.get("service.name"),
        host=attributes.get("host.name") or attributes.get("k8s.node.name"),
        time=time,
    )


# -- protobuf ----------------------------------------------------------------------------------------------------------


def decode(data: bytes) -> list[Event] | None:
    """The events of a ``LogsData`` message; None if the bytes are not wholly one, with a log record in it."""
    try:
        found = []
        records = 0
        for number, resource in _fields(data):
            if number != 1 or isinstance(resource, int):
                return None
            event, count = _resource(resource)
            found.append(event)
            records += count
    except (ValueError, struct.error):
        return None
    return found if records else None


def _resource(data: bytes) -> tuple[Event, int]:
    attributes: dict[str, str] = {}
    found: list[Text] = []
    time = observed = None
    records = 0
    for number, value in _fields(data):
        if number == 1:
            for inner, attribute in _fields(_message(value)):
                if inner == 1:
                    named = _key_value(_message(attribute), "resource.attributes", 0)
                    found += named
                    for text in named:
                        attributes[(text.name or b"").decode("utf-8", "replace")] = text.data.decode("utf-8", "replace")
        elif number == 3:
            found.append(Text(_message(value), "schemaUrl"))
        elif number == 2:
            for inner, scoped in _fields(_message(value)):
                if inner == 1:
                    for kind, item in _fields(_message(scoped)):
                        if kind == 3:
                            found += _key_value(_message(item), "scope.attributes", 0)
                        elif isinstance(item, bytes):
                            found.append(Text(item, "scope"))
                elif inner == 3:
                    found.append(Text(_message(scoped), "scopeLogs.schemaUrl"))
                elif inner == 2:
                    field = f"scopeLogs.logRecords[{records}]"
                    records += 1
                    for kind, item in _fields(_message(scoped)):
                        if kind == 5:
                            found += _any_value(_message(item), f"{field}.body", b"", 0)
                        elif kind == 6:
                            found += _key_value(_message(item), f"{field}.attributes", 0)
                        elif kind == 1 and isinstance(item, int):
                            time = time or str(item)
                        elif kind == 11 and isinstance(item, int):
                            observed = observed or str(item)
                        elif kind in (3, 12) and isinstance(item, bytes):
                            found.append(Text(item, field))
    return Event(_origin(attributes, time or observed), found), records


def _key_value(data: bytes, field: str, depth: int) -> list[Text]:
    key = b""
    found: list[Text] = []
    for number, value in _fields(data):
        if number == 1:
            key = _message(value)
        elif number == 2:
            found += _any_value(_message(value), f"{field}.{key.decode('utf-8', 'replace')}", key, depth)
    return found


def _any_value(data: bytes, field: str, name: bytes, depth: int) -> list[Text]:
    if depth > MOST_NESTED:
        return [Text(data, field)]
    found: list[Text] = []
    for number, value in _fields(data):
        if number in (1, 7):
            found.append(Text(_message(value), field, name=name or None))
        elif number == 3 and isinstance(value, int):
            found.append(Text(str(value).encode(), field, name=name or None))
        elif number == 5:
            for index, (_, item) in enumerate(_fields(_message(value))):
                found += _any_value(_message(item), f"{field}[{index}]", name, depth + 1)
        elif number == 6:
            for _, item in _fields(_message(value)):
                found += _key_value(_message(item), field, depth + 1)
    return found


def _message(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where a message belongs")
    return value


def _fields(data: bytes) -> Fields:
    """Number and value of each field: integers for numbers, bytes for what has a length."""
    found: Fields = []
    at_byte = 0
    while at_byte < len(data):
        tag, at_byte = _varint(data, at_byte)
        number, kind = tag >> 3, tag & 7
        if not number:
            raise ValueError("no field has the number 0")
        if kind == 0:
            value, at_byte = _varint(data, at_byte)
            found.append((number, value))
        elif kind == 1:
            found.append((number, struct.unpack_from("<Q", data, at_byte)[0]))
            at_byte += 8
        elif kind == 5:
            found.append((number, struct.unpack_from("<I", data, at_byte)[0]))
            at_byte += 4
        elif kind == 2:
            length, at_byte = _varint(data, at_byte)
            if at_byte + length > len(data):
                raise ValueError("a field goes beyond its message")
            found.append((number, data[at_byte : at_byte + length]))
            at_byte += length
        else:
            raise ValueError("groups are not used")
    return found


def _varint(data: bytes, at_byte: int) -> tuple[int, int]:
    value = shift = 0
    while at_byte < len(data) and shift < 64:
        byte = data[at_byte]
        at_byte += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at_byte
        shift += 7
    raise ValueError("a number that does not end")
