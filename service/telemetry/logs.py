"""Structured logs, as JSON lines or for a console, that refuse secrets.

A :class:`~service.records.Secret` given to a log call is replaced and said to have been refused, wherever it hides in the
fields. Messages of the libraries go through the same chain.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final, TextIO

import msgspec
import structlog

from service.records import Secret
from service.telemetry import crash

REFUSED: Final = "(refused: a secret was given to the log)"


REPEATS_SECONDS: Final = 30.0
"""How often at most a library says the same."""
_MOST_SAYINGS: Final = 1000


class Repeats(logging.Filter):
    """Lets a library say the same once in a while, and then how often it was said: some say it a hundred times a second.

    The same is the same text before its values are put in, of the same logger at the same level. What we say ourselves passes,
    but for faults in the event loop.

    Args:
        now: a clock in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._said: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """True for what is to be told."""
        if record.name.partition(".")[0] not in ("aiokafka", "asyncio", "crash"):
            return True
        event = record.msg.get("event") if isinstance(record.msg, dict) else record.msg
        key, now = (record.name, record.levelno, str(event)), self._now()
        if len(self._said) >= _MOST_SAYINGS:
            self._said.clear()
        since, held_back = self._said.get(key, (now - REPEATS_SECONDS, 0))
        if now - since < REPEATS_SECONDS:
            self._said[key] = (since, held_back + 1)
            return False
        self._said[key] = (now, 0)
        if held_back and isinstance(record.msg, dict):
            record.msg = {**record.msg, "more_before": held_back}
        elif held_back:
            record.msg = f"{record.getMessage()} (and {held_back} times more before)"
            record.args = ()
        return True


def refuse_secrets(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor that replaces secrets, and what holds them, in every field."""
    for key, value in event.items():
        event[key] = _clean(value)
    return event


def _clean(value: Any) -> Any:
    if isinstance(value, Secret | msgspec.Struct):
        return REFUSED  # the nouns of the stream hold raw bytes
    if isinstance(value, BaseException):
        return type(value).__name__  # its text may quote the input
    if isinstance(value, bytes | bytearray | memoryview):
        return f"({len(value)} bytes)"  # raw input: it may hold anything
    if isinstance(value, Mapping):
        return {str(_clean(key)): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item) for item in value]
    return value


def configure(level: str = "info", style: str = "auto", stream: TextIO | None = None, worker: int | None = None) -> None:
    """Sets up logging for the process.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        style: ``json``, ``console``, or ``auto``: a console's where the stream is a terminal.
        stream: standard error if None.
        worker: the number of this process among its like; stands in every line.
    """

    def number(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["worker"] = worker
        return event

    stream = stream or sys.stderr
    console = style == "console" or (style == "auto" and stream.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        refuse_secrets,
        *([number] if worker is not None else []),
    ]
    renderer: Any = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    handler = logging.StreamHandler(stream)
    handler.addFilter(Repeats())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.ExceptionRenderer(_plain_traceback),
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("aiokafka").setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _plain_traceback(exc_info: Any) -> str:
    """Kinds and places, no texts and no values of variables: both may quote a record."""
    return "\n".join(crash.report(exc_info[1]))


def set_level(level: str) -> None:
    """Tells more, or less, from now on."""
    logging.getLogger().setLevel(level.upper())


def crashed(occasion: str, lines: list[str]) -> None:
    """Tells a fault in the log, as :func:`service.telemetry.crash.install` asks for it."""
    get("crash").error(occasion, at=lines)


def get(name: str) -> structlog.stdlib.BoundLogger:
    """A logger; ``name`` is the stage's."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger
