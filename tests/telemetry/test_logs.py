"""Logs refuse secrets, wherever they hide in what is logged."""

import io
import json
import logging
import random
import string
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import structlog

from service.records import Candidate, Confidence, Detector, Event, Finding, Origin, Record, Secret, Severity, Span, Text
from service.telemetry import logs

RAW = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=40))
SECRET = Secret(RAW.encode())


@pytest.fixture(params=["json", "console"])
def output(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What is logged, in each style; the process's logging is put back afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    logs.configure("debug", request.param, stream)
    yield stream
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


class Boxed(NamedTuple):
    label: str
    secret: Secret


def candidate() -> Candidate:
    detector = Detector(id="acme", name="Acme", provider="Acme", category="cloud", severity=Severity.high, expression="x")
    span = Span(0, len(RAW))
    return Candidate(detector, SECRET, span, span, None, RAW.encode(), b"")


HIDING_PLACES: dict[str, Callable[[], Any]] = {
    "alone": lambda: SECRET,
    "list": lambda: ["a", SECRET],
    "tuple": lambda: ("a", SECRET),
    "set": lambda: {SECRET},
    "dict": lambda: {"a": SECRET},
    "deep": lambda: {"a": [{"b": (SECRET,)}]},
    "key of a dict": lambda: {SECRET: 1},
    "named tuple": lambda: Boxed("a", SECRET),
    "exception": lambda: ValueError(SECRET),
    "bytes": lambda: RAW.encode(),
    "bytearray": lambda: bytearray(RAW.encode()),
    "bytes in a view": lambda: memoryview(RAW.encode()),
    "bytes in a dict": lambda: {"value": [RAW.encode()]},
    "candidate": candidate,
    "finding": lambda: Finding(candidate(), Severity.high, Confidence.high, {}, ()),
    "record": lambda: Record("topic", 0, 0, 0, None, RAW.encode()),
    "text": lambda: Text(RAW.encode(), "message"),
    "event": lambda: Event(Origin(), [Text(RAW.encode(), "message")]),
    "bytes in an exception": lambda: ValueError(RAW.encode()),
}


def assert_refused(output: io.StringIO) -> None:
    written = output.getvalue()
    assert written.strip(), "nothing was logged"
    assert RAW not in written
    assert RAW.encode().hex() not in written


@pytest.mark.parametrize("place", HIDING_PLACES)
def test_a_secret_in_a_field_never_reaches_the_output(output: io.StringIO, place: str) -> None:
    logs.get("test").info("happened", field=HIDING_PLACES[place]())

    assert_refused(output)
    assert "happened" in output.getvalue()


@pytest.mark.parametrize("place", [place for place, build in HIDING_PLACES.items() if RAW not in repr(build())])
def test_nor_as_the_argument_of_a_message_of_a_library(output: io.StringIO, place: str) -> None:
    logging.getLogger("some.library").warning("happened: %s", HIDING_PLACES[place]())

    assert_refused(output)


def test_nor_as_the_message_itself(output: io.StringIO) -> None:
    logs.get("test").info(SECRET)  # type: ignore[arg-type]

    assert_refused(output)


def test_nor_as_a_value_that_is_bound(output: io.StringIO) -> None:
    logs.get("test").bind(secret=SECRET, box={"a": SECRET}).info("happened")

    assert_refused(output)


def test_nor_as_a_variable_of_the_context(output: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(secret=SECRET):
        logs.get("test").info("happened")

    assert_refused(output)


def test_nor_as_an_argument_or_a_local_variable_of_an_exception(output: io.StringIO) -> None:
    def fail(local: str) -> None:
        raise ValueError("refused", SECRET, len(local))

    try:
        fail(RAW)
    except ValueError:
        logs.get("test").exception("happened")

    assert_refused(output)
    assert "ValueError" in output.getvalue()
    assert "fail" in output.getvalue()


def test_nor_in_the_text_of_an_exception(output: io.StringIO) -> None:
    """Parsers quote their input in what they raise."""
    try:
        int(RAW)
    except ValueError:
        logs.get("test").exception("happened")

    assert_refused(output)


def test_a_refused_secret_is_said_to_be_refused(output: io.StringIO) -> None:
    logs.get("test").info("happened", field=SECRET)

    assert logs.REFUSED in output.getvalue()


def test_harmless_fields_are_kept_as_they_are(output: io.StringIO) -> None:
    logs.get("publish").info("delivery failed", sink="kafka", attempts=3)

    for word in ("delivery failed", "publish", "kafka", "3", "info"):
        assert word in output.getvalue()


@pytest.mark.parametrize("output", ["json"], indirect=True)
def test_every_line_of_json_is_an_object_with_time_level_and_stage(output: io.StringIO) -> None:
    logs.get("judge").warning("one", count=1, nested={"a": [1, 2]})
    logging.getLogger("library").error("two\nlines")

    first, second = map(json.loads, output.getvalue().splitlines())
    assert (first["event"], first["level"], first["logger"], first["nested"]) == ("one", "warning", "judge", {"a": [1, 2]})
    assert (second["event"], second["level"], second["logger"]) == ("two\nlines", "error", "library")
    assert first["timestamp"].endswith("Z")


def test_what_is_below_the_level_is_not_written(output: io.StringIO) -> None:
    logging.getLogger().setLevel(logging.WARNING)

    logs.get("test").info("quiet")
    logs.get("test").warning("loud")

    assert "quiet" not in output.getvalue()
    assert "loud" in output.getvalue()


class TestRepeats:
    def record(self, message: Any, *values: Any, name: str = "aiokafka.conn", level: int = logging.ERROR) -> logging.LogRecord:
        return logging.LogRecord(name, level, "", 0, message, values, None)

    def test_a_library_says_the_same_once_in_a_while_and_then_how_often(self) -> None:
        now = [100.0]
        repeats = logs.Repeats(lambda: now[0])
        assert repeats.filter(self.record("topic %s is gone", "a"))
        assert not any(repeats.filter(self.record("topic %s is gone", topic)) for topic in ("a", "b", "a"))
        assert repeats.filter(self.record("topic %s is back", "a"))
        assert repeats.filter(self.record("topic %s is gone", "a", level=logging.WARNING))
        now[0] += logs.REPEATS_SECONDS
        told = self.record("topic %s is gone", "a")
        assert repeats.filter(told)
        assert told.getMessage() == "topic a is gone (and 3 times more before)"
        now[0] += logs.REPEATS_SECONDS
        told = self.record("topic %s is gone", "100 %")
        assert repeats.filter(told)
        assert told.getMessage() == "topic 100 % is gone"

    def test_what_the_service_says_itself_passes(self) -> None:
        repeats = logs.Repeats()
        assert all(repeats.filter(self.record({"event": "dead letter"}, name="pipeline")) for _ in range(5))

    def test_it_keeps_no_more_than_so_many_sayings(self) -> None:
        repeats = logs.Repeats()
        assert all(repeats.filter(self.record(f"saying {number}")) for number in range(5_000))
        assert len(repeats._said) <= 1_000

    def test_it_is_in_place(self, output: io.StringIO) -> None:
        for _ in range(50):
            logging.getLogger("aiokafka.producer").error("Topic %s not found in cluster metadata", "alerts")
        assert output.getvalue().count("not found in cluster metadata") == 1
