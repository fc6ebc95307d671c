"""Plain text: syslog in its formats, lines of container runtimes, and anything else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from service.records import Event, Origin, Text

NAMES: Final = ("syslog", "cri", "text")

_SHAPES: Final = (
    # RFC 5424: <PRI>1 TIMESTAMP HOSTNAME APP-NAME …
    ("syslog", re.compile(rb"<\d{1,3}>1 (?P<time>\S{1,40}) (?P<host>\S{1,255}) (?P<source>\S{1,48}) ")),
    # RFC 3164: <PRI>Mmm dd hh:mm:ss HOSTNAME TAG: …
    (
        "syslog",
        re.compile(
            rb"(?:<\d{1,3}>)?(?P<time>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) (?P<host>\S{1,255}) (?P<source>[^\s:\[]{1,64})"
        ),
    ),
    # container runtimes: TIMESTAMP stdout F …
    ("cri", re.compile(rb"(?P<time>\d{4}-\d\d-\d\dT\S{8,32}) (?P<source>stdout|stderr) [FP] ")),
    # rsyslog's RSYSLOG_FileFormat: TIMESTAMP HOSTNAME TAG: …
    (
        "syslog",
        re.compile(rb"(?P<time>\d{4}-\d\d-\d\dT\S{8,32}) (?P<host>[\w.:-]{1,255}) (?P<source>[\w./-]{1,48})(?:\[\d+\])?: "),
    ),
)


def events(value: bytes) -> Iterator[Event]:
    """One event: the text as it is, with what its beginning says of where it comes from."""
    # UTF-16 is left to the layers: a mark alone does not say that what follows is so written
    data = value.removeprefix(b"\xef\xbb\xbf")
    for name, shape in _SHAPES:
        found = shape.match(data)
        if found:
            said = {key: part.decode("utf-8", "replace") for key, part in found.groupdict().items()}
            yield Event(Origin(type="log", envelope=name, **said), [Text(data, "value")])
            return
    yield Event(Origin(type="unknown", envelope="text"), [Text(data, "value")])
