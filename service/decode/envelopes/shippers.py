"""Log shippers that write JSON: Beats and ECS, Logstash, Fluent Bit, Fluentd, Vector, rsyslog, GELF, Docker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from service.decode.strings import first, texts
from service.records import Event, Origin

NAMES: Final = ("filebeat", "logstash", "vector", "rsyslog", "gelf", "docker", "fluentbit", "fluentd")


def recognise(document: dict[str, Any]) -> str | None:
    """The envelope's name if the document is one of this family."""
    has = document.keys().__contains__
    if has("@timestamp"):
        if has("@version"):
            return "logstash"
        if has("@metadata") or isinstance(document.get("agent"), dict) or isinstance(document.get("ecs"), dict):
            return "filebeat"
    if has("source_type") and has("timestamp"):
        return "vector"
    if has("rawmsg") or has("syslogtag") or has("fromhost-ip"):
        return "rsyslog"
    if has("short_message") and has("version"):
        return "gelf"
    if has("log") and has("stream") and has("time"):
        return "docker"
    if has("log") and (has("kubernetes") or has("@timestamp") or has("date")):
        return "fluentbit"
    if (has("tag") and (has("log") or has("message"))) or has("container_id"):
        return "fluentd"
    return "filebeat" if has("@timestamp") and has("message") else None


def events(document: dict[str, Any], name: str) -> Iterator[Event]:
    """One event."""
    yield Event(
        Origin(
            type="log",
            envelope=name,
            id=first(document, ("event", "id"), "_id", "id"),
            source=first(
                document,
                ("log", "file", "path"),
                "file",
                "path",
                "filename",
                ("kubernetes", "pod_name"),
                ("kubernetes", "pod", "name"),
                "programname",
                "app-name",
                "syslogtag",
                "container_name",
                "facility",
                "source_type",
                "tag",
                "source",
            ),
            host=first(
                document,
                ("host", "name"),
                "host",
                "hostname",
                ("kubernetes", "host"),
                ("agent", "hostname"),
                ("agent", "name"),
                "fromhost",
                "fromhost-ip",
            ),
            time=first(document, "@timestamp", "timestamp", "time", "timereported", "date", "ts"),
        ),
        list(texts(document)),
    )
