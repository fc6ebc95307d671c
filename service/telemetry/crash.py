"""What is told of a fault of ours: kinds of exceptions and places in the code; never texts or values, which may quote input."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import re
import sys
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final

_MOST_PLACES: Final = 40
_MOST_LINKS: Final = 8
"""Of a chain of causes."""

Tell = Callable[[str, list[str]], None]
"""Takes the occasion and the lines of a report."""


def report(error: BaseException | None) -> list[str]:
    """Kinds and places, innermost last, of an exception and of what caused it."""
    return list(_lines(error, _MOST_LINKS)) if error is not None else []


def _lines(error: BaseException, links: int) -> Iterator[str]:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and links:
        yield from _lines(cause, links - 1)
        yield "led to"
    yield f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.") + " at"
    yield from places(error.__traceback__)
    if isinstance(error, BaseExceptionGroup) and links:
        for number, part in enumerate(error.exceptions):
            yield f"part {number}:"
            yield from _lines(part, links - 1)


def places(trace: TracebackType | None) -> list[str]:
    """Files, lines and functions."""
    found = []
    while trace is not None:
        code = trace.tb_frame.f_code
        found.append(f"  {code.co_filename}:{trace.tb_lineno} {code.co_qualname}")
        trace = trace.tb_next
    if len(found) > _MOST_PLACES:
        half = _MOST_PLACES // 2
        found[half:-half] = [f"  … {len(found) - 2 * half} more"]
    return found


def to_stderr(occasion: str, lines: list[str]) -> None:
    """Tells it on standard error."""
    print(f"sluice: {occasion}", *lines, sep="\n", file=sys.stderr, flush=True)  # noqa: T201


def install(tell: Tell = to_stderr) -> None:
    """Has every exception that nobody caught told by :func:`report`; crashes of extensions by the interpreter, alike."""

    def of_main(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not isinstance(error, KeyboardInterrupt):
            tell("a fault in Sluice", report(error))

    def of_thread(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_type is not SystemExit:
            tell("a fault in a thread", report(arguments.exc_value))

    def of_finalizer(arguments: Any) -> None:
        tell("a fault while cleaning up", report(arguments.exc_value))

    sys.excepthook = of_main
    threading.excepthook = of_thread
    sys.unraisablehook = of_finalizer
    with contextlib.suppress(AttributeError, OSError, ValueError):  # where standard error is no file
        faulthandler.enable()


def _is_brokers(error: BaseException | None) -> bool:
    return error is not None and type(error).__module__ == "aiokafka.errors"


def of_loop(tell: Tell) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """A handler for an event loop: what it tells of itself holds the representations of arguments and results.

    That nobody waits any more for what the broker refuses is no fault: the library has told it where it happened.
    """

    def handler(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if _is_brokers(context.get("exception")) and "never retrieved" in context.get("message", ""):
            return
        words = re.match(r"[A-Za-z' ]{0,60}", str(context.get("message", "")))
        tell(f"a fault in the event loop: {words[0].strip() if words else ''}", report(context.get("exception")))

    return handler
