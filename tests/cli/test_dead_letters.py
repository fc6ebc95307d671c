"""`sluice dead-letters` on a broker: what is listed never shows a payload, and each letter goes back once."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.brokers import Broker
from service.cli import main
from service.cli.dead_letters import _age, _moment, _size
from service.consume.deadletter import LEFT_OUT, letter
from service.errors import ExitCode, SluiceError
from service.records import Record

Run = Callable[..., tuple[int, str, str]]


class Place:
    """Topics with letters in them."""

    def __init__(self, broker: Broker, unique: str) -> None:
        self.address, self.events, self.letters = broker.address, f"events-{unique}", f"dead-{unique}"

    async def fill(self, *records: tuple[Record, str], left_out: bool = False) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address)
        await admin.start()
        await admin.create_topics([NewTopic(name, 2, 1) for name in (self.events, self.letters)])
        await admin.close()
        producer = AIOKafkaProducer(bootstrap_servers=self.address)
        await producer.start()
        for record, reason in records:
            if left_out:
                where = await producer.send_and_wait(self.events, record.value, record.key, record.partition)
                record = Record(record.topic, where.partition, where.offset, 0, record.key, None, record.headers)
            key, value, headers = letter(record, reason, "", "1.2.3")
            headers += [LEFT_OUT] if left_out else []
            await producer.send_and_wait(self.letters, value, key, record.offset % 2, headers=headers)
        await producer.stop()

    def record(self, number: int, **more: Any) -> Record:
        return Record(
            self.events, number % 2, number, 0, b"key %d" % number, b"value %d" % number, (("trace", b"%d" % number),)
        )

    async def came_back(self) -> list[Any]:
        consumer = AIOKafkaConsumer(
            self.events, bootstrap_servers=self.address, auto_offset_reset="earliest", isolation_level="read_committed"
        )
        await consumer.start()
        found: list[Any] = []
        while batch := [r for records in (await consumer.getmany(timeout_ms=1000)).values() for r in records]:
            found += batch
        await consumer.stop()
        return sorted(found, key=lambda record: int(record.key.split()[1]))


@pytest.fixture
def place(apache_kafka: Broker, unique: str) -> Place:
    return Place(apache_kafka, unique)


@pytest.fixture
def run(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", place.address)
    monkeypatch.setenv("KAFKA_GROUP_ID", f"group-{place.letters}")
    monkeypatch.setenv("SLUICE_DEAD_LETTERS__TOPIC", place.letters)

    def running(*arguments: str) -> tuple[int, str, str]:
        status = main(["dead-letters", *arguments])
        out, err = capsys.readouterr()
        return status, out, err

    return running


def filled(place: Place, *records: tuple[Record, str], **more: Any) -> None:
    import asyncio

    asyncio.run(place.fill(*records, **more))


def back(place: Place) -> list[Any]:
    import asyncio

    return asyncio.run(place.came_back())


@pytest.mark.integration
def test_the_list_tells_reason_origin_and_size_and_never_the_payload(place: Place, run: Run) -> None:
    filled(place, (place.record(4), "internal_error"), (place.record(7), "decompression_limit"))

    status, out, err = run("list", "--format", "json")

    assert status == ExitCode.ok, err
    assert {(row["reason"], row["topic"], row["partition"], row["offset"]) for row in json.loads(out)} == {
        ("internal_error", place.events, 0, 4),
        ("decompression_limit", place.events, 1, 7),
    }
    assert all(row["size"] == len(b"key 4" + b"value 4") and row["age_seconds"] < 600 for row in json.loads(out))
    assert "value 4" not in out
    assert "key 4" not in out
    assert "2 dead letters" in run()[2]
    assert "value 4" not in run("list")[1]
    assert "value 4" in run("list", "--format", "json", "--reveal")[1]
    assert "decompression_limit" not in run("list", "--reason", "internal_error")[1]


@pytest.mark.integration
def test_letters_go_back_once_with_their_own_key_and_headers(place: Place, run: Run) -> None:
    filled(place, *((place.record(number), "internal_error") for number in range(6)))

    assert run("replay", "--dry-run")[2] == "6 letters would be sent back\n"
    assert back(place) == []
    assert run("replay")[::2] == (ExitCode.ok, "6 letters sent back\n")
    assert run("replay")[::2] == (ExitCode.ok, "nothing to send back\n")

    found = back(place)
    assert [record.value for record in found] == [b"value %d" % number for number in range(6)]
    assert [record.headers for record in found] == [(("trace", b"%d" % number),) for number in range(6)]
    assert [record.partition for record in found] == [number % 2 for number in range(6)]
    assert all(row["replayed"] for row in json.loads(run("list", "--format", "json")[1]))


@pytest.mark.integration
def test_what_is_picked_out_leaves_the_others_for_later(place: Place, run: Run) -> None:
    filled(place, *((place.record(number), "internal_error" if number % 3 else "other") for number in range(9)))

    assert "3 letters sent back" in run("replay", "--reason", "other")[2]
    assert "6 letters sent back" in run("replay")[2]
    assert "nothing" in run("replay")[2]

    assert [record.key for record in back(place)] == [b"key %d" % number for number in range(9)]


@pytest.mark.integration
def test_a_payload_that_was_left_out_is_fetched_from_its_topic(place: Place, run: Run) -> None:
    filled(place, (place.record(3), "too_large"), left_out=True)

    assert "1 letters sent back" in run("replay")[2]

    assert [record.value for record in back(place)] == [b"value 3", b"value 3"]


@pytest.mark.integration
def test_a_letter_whose_topic_is_gone_stays_and_is_told(place: Place, run: Run) -> None:
    gone = Record(f"gone-{place.events}", 0, 2, 0, b"key 2", b"value 2")
    filled(place, (gone, "internal_error"), (place.record(4), "internal_error"))

    status, _, err = run("replay")

    assert status == ExitCode.failed
    assert f"1 not sent: there is no topic gone-{place.events} any more" in err
    assert "1 letters sent back" in err
    assert [row["replayed"] for row in json.loads(run("list", "--format", "json")[1])] == [False, True]


@pytest.mark.integration
def test_without_dead_letters_that_is_said(run: Run) -> None:
    status, _, err = run("list")

    assert status == ExitCode.failed
    assert "nothing has become a dead letter yet" in err


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 910.0), ("5m", 700.0), ("1970-01-01T00:01:00+00:00", 60.0), ("1970-01-02", 86_400.0)]
)
def test_times_are_moments_or_spans(text: str, seconds: float) -> None:
    assert _moment(text, "--since", 1000.0) == seconds


@pytest.mark.parametrize("text", ["soon", "", "3w", "-2h", "٣h"])
def test_what_is_no_time_is_refused_with_its_name(text: str) -> None:
    with pytest.raises(SluiceError, match=r"--since: a time such as .* expected"):
        _moment(text, "--since", 1000.0)


def test_ages_and_sizes_are_short() -> None:
    assert [_age(seconds) for seconds in (5, 130, 7300, 200_000)] == ["5 s", "2 m", "2 h", "2 d"]
    assert [_size(size) for size in (5, 1500, 2_500_000)] == ["5 B", "1.5 KB", "2.5 MB"]
