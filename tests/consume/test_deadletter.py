"""Dead letters keep what came, say why in their headers, and stop the consumer when they are too many."""

import gzip
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import app, proof
from service.consume.batches import Batch, Slab, encode_record
from service.consume.deadletter import LEFT_OUT, WINDOW_RECORDS, Filter, Limit, Replayed, letter, opened
from service.decode import compressed
from service.detect import database
from service.errors import TooManyDeadLettersError
from service.inspection import Failure
from service.records import Confidence, Detector, Record, Severity

HEADERS = (("trace", b"abc"), ("empty", b""))
RECORD = Record("events", 3, 42, 1_700_000_000_000, b"the key", b"the payload", HEADERS)


def test_value_key_and_headers_are_kept_as_they_came() -> None:
    key, value, headers = letter(RECORD, "internal_error", "KeyError", "1.2.3")

    assert (key, value) == (RECORD.key, RECORD.value)
    assert headers[: len(HEADERS)] == list(HEADERS)


def test_the_headers_say_where_it_was_and_why_it_is_here() -> None:
    _, _, headers = letter(RECORD, "internal_error", "KeyError", "1.2.3")

    assert dict(headers[len(HEADERS) :]) == {
        "sluice.reason": b"internal_error",
        "sluice.error": b"KeyError",
        "sluice.topic": b"events",
        "sluice.partition": b"3",
        "sluice.offset": b"42",
        "sluice.timestamp": b"1700000000000",
        "sluice.version": b"1.2.3",
    }


def test_a_header_without_a_value_stays_without_one() -> None:
    _, _, headers = letter(Record("events", 0, 1, -1, None, b"x", (("none", None),)), "internal_error", "", "1")

    assert headers[0] == ("none", None)


def test_null_keys_and_values_stay_null() -> None:
    key, value, headers = letter(Record("events", 0, 1, -1, None, None), "internal_error", "", "1")

    assert (key, value) == (None, None)
    assert "sluice.error" not in dict(headers)


def failures(value: bytes, secret_type: Detector) -> list[Failure]:
    """What the inspector cannot process of a record with this value."""
    inspector = app.inspector(database.build([secret_type]), Confidence.low)
    data = encode_record(Record("events", 0, 7, 0, None, value), 7, 0)
    inspected, _ = inspector.slabs([Slab("events", 0, data, [Batch(0, len(data), 7, 8, 0, -1, 1)], 7)])
    return inspected[0].failures


@pytest.fixture
def acme() -> Detector:
    return Detector(
        id="acme-token",
        name="Acme token",
        provider="Acme",
        category="cloud",
        severity=Severity.high,
        expression="acme_[a-z0-9]{32}",
        prefixes=(b"acme_",),
    )


def test_the_payload_of_a_record_that_cannot_be_processed_is_in_none_of_the_headers(
    acme: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compressed, "MOST_BYTES", 1000)
    secret = proof.secret_of(acme, random.Random(1))
    bomb = gzip.compress(b" ".join([secret] * 100))

    (failure,) = failures(bomb, acme)
    _, value, headers = letter(failure.record, failure.reason, failure.error, "1")

    assert value == bomb
    assert dict(headers)["sluice.reason"] == b"decompression_limit"
    assert not any(secret in said or bomb in said for _, said in headers if said)


def test_of_a_fault_of_ours_the_headers_carry_the_type_and_not_the_text(
    acme: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = proof.secret_of(acme, random.Random(2))

    def quoting(data: bytes) -> str:
        raise ValueError(data)

    monkeypatch.setattr(compressed, "kind_of", quoting)
    (failure,) = failures(secret, acme)
    _, _, headers = letter(failure.record, failure.reason, failure.error, "1")

    assert (failure.reason, failure.error) == ("internal_error", "ValueError")
    assert not any(secret in said for _, said in headers if said)


# -- the limit ---------------------------------------------------------------------------------------------------------


def _note_all(limit: Limit, counts: list[tuple[int, int]]) -> None:
    for records, letters in counts:
        limit.note(records, letters)


def test_more_dead_letters_in_a_row_than_allowed_stop_the_consumer() -> None:
    limit = Limit(max_ratio=1.0, max_consecutive=10)
    limit.note(10, 10)

    with pytest.raises(TooManyDeadLettersError, match="11 of the last 11"):
        limit.note(1, 1)


def test_a_good_record_begins_the_row_anew() -> None:
    limit = Limit(max_ratio=1.0, max_consecutive=10)
    _note_all(limit, [(10, 10), (1, 0)] * 5)

    with pytest.raises(TooManyDeadLettersError):
        _note_all(limit, [(10, 10), (1, 1)])


def test_a_higher_ratio_than_allowed_stops_the_consumer() -> None:
    limit = Limit(max_ratio=0.1, max_consecutive=10**9)
    _note_all(limit, [(100, 10)] * 50)

    with pytest.raises(TooManyDeadLettersError, match=r"dead_letters\.max_ratio"):
        _note_all(limit, [(100, 30)] * 10)


def test_a_few_dead_letters_at_the_start_are_no_ratio() -> None:
    limit = Limit(max_ratio=0.1, max_consecutive=10**9)

    limit.note(50, 50)
    limit.note(50, 50)


def test_old_dead_letters_are_forgotten() -> None:
    limit = Limit(max_ratio=0.1, max_consecutive=10**9)
    _note_all(limit, [(900, 89), *[(WINDOW_RECORDS, 0)] * 10] * 20)
    limit.note(50, 50)


@given(st.lists(st.tuples(st.integers(1, 5_000), st.floats(0, 0.2)), max_size=60))
@settings(deadline=None, max_examples=100)
def test_batches_that_each_keep_the_ratio_never_stop_the_consumer(batches: list[tuple[int, float]]) -> None:
    limit = Limit(max_ratio=0.2, max_consecutive=10**9)

    for records, share in batches:
        limit.note(records, int(records * share))


@given(st.lists(st.integers(30, 300), min_size=40, max_size=60), st.integers(0, 5_000))
@settings(deadline=None, max_examples=100)
def test_batches_that_all_break_the_ratio_stop_the_consumer_after_a_clean_start(sizes: list[int], clean: int) -> None:
    limit = Limit(max_ratio=0.2, max_consecutive=10**9)
    limit.note(clean, 0)

    with pytest.raises(TooManyDeadLettersError):
        _note_all(limit, [(10 * records, 3 * records) for records in sizes])


def test_a_topic_of_nothing_but_dead_letters_always_stops_the_consumer() -> None:
    limit = Limit(max_ratio=1.0, max_consecutive=1_000)

    with pytest.raises(TooManyDeadLettersError):
        _note_all(limit, [(50, 50)] * 100)


# -- the way back ------------------------------------------------------------------------------------------------------


def as_letter(record: Record, *more: tuple[str, bytes | None], at: int = 0) -> Record:
    key, value, headers = letter(record, "internal_error", "KeyError", "1")
    return Record("dead", 0, at, 1_700_000_100_000, key, value, (*headers, *more))


def test_an_opened_letter_says_where_it_came_from_and_what_it_came_with() -> None:
    found = opened(as_letter(RECORD))

    assert (found.reason, found.error, found.topic, found.partition, found.offset) == (
        "internal_error",
        "KeyError",
        "events",
        3,
        42,
    )
    assert found.headers == HEADERS
    assert not found.is_left_out
    assert opened(as_letter(RECORD, LEFT_OUT)).is_left_out


def test_headers_that_a_producer_named_like_ours_change_nothing() -> None:
    forged = (("sluice.topic", b"elsewhere"), ("sluice.offset", b"9"))
    record = Record("events", 3, 42, 0, b"k", b"v", forged)

    found = opened(as_letter(record))

    assert (found.topic, found.offset) == ("events", 42)
    assert found.headers == forged


@pytest.mark.parametrize("said", [b"", b"x", b"-1", b"9" * 40, "\u0663".encode(), b"\xff"])
def test_a_letter_with_a_number_that_is_none_has_no_place(said: bytes) -> None:
    found = opened(Record("dead", 0, 0, 0, b"k", b"v", (("sluice.offset", said), ("sluice.partition", None))))

    assert (found.offset, found.partition, found.topic, found.reason) == (None, None, None, "unknown")


def test_filters_take_what_they_name() -> None:
    found = opened(as_letter(RECORD))

    assert Filter().takes(found)
    assert Filter(frozenset(("internal_error",)), frozenset(("events",)), 1_700_000_000, 1_700_000_200).takes(found)
    assert not Filter(reasons=frozenset(("other",))).takes(found)
    assert not Filter(topics=frozenset(("other",))).takes(found)
    assert not Filter(since=1_700_000_101).takes(found)
    assert not Filter(until=1_700_000_100).takes(found)


@given(st.lists(st.frozensets(st.integers(0, 60)), max_size=6))
@settings(deadline=None, max_examples=200)
def test_every_letter_is_done_once_whatever_is_picked_out(runs: list[frozenset[int]]) -> None:
    position, metadata, seen = 0, "", []
    for wanted in [*runs, frozenset(range(61))]:
        done = Replayed(position, metadata)
        for offset in range(0, 61, 2):  # between letters stand the marks of transactions
            if offset in done:
                continue
            if offset in wanted:
                seen.append(offset)
                done.add(offset)
                done.advance(offset + 1)
            else:
                done.leave(offset)
        position, metadata = done.position, done.metadata

    assert sorted(seen) == list(range(0, 61, 2))
    assert all(offset in Replayed(position, metadata) for offset in range(0, 61, 2))


@given(st.text(alphabet="0123456789,-x", max_size=40))
def test_metadata_that_is_not_ours_is_survived(text: str) -> None:
    assert 5 in Replayed(6, text)
