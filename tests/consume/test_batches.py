"""Record batches taken apart by us and by aiokafka: the same records, whatever the batches look like."""

import contextlib
import random
import re
import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import google_crc32c
import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.util import encode_varint
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.consume import batches
from service.consume.batches import Batch, Slab, encode_record
from service.records import Record

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
COMMITTED = fetcher.READ_COMMITTED
UNCOMMITTED = fetcher.READ_UNCOMMITTED
LOG_APPEND_TIME, TRANSACTIONAL, CONTROL = 0x08, 0x10, 0x20
COMMIT, ABORT = struct.pack(">hh", 0, 1), struct.pack(">hh", 0, 0)
PLACE = TopicPartition("events", 3)

Row = tuple[int, int, bytes | None, bytes | None, Sequence[tuple[str, bytes | None]]]
"""Offset, timestamp, key, value and headers."""

DATA = st.one_of(st.none(), st.binary(max_size=40), st.binary(min_size=1, max_size=8).map(lambda part: part * 60))
NAMES = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=8)
HEADERS = st.lists(st.tuples(NAMES, DATA), max_size=3)
FIELDS = st.lists(st.tuples(st.integers(0, 2**41), DATA, DATA, HEADERS), min_size=1, max_size=6)


@pytest.fixture(scope="module", autouse=True)
def _hook() -> None:
    batches.install()


def built(
    rows: Sequence[Row], codec: str = "none", attributes: int = 0, producer: int = -1, base: int = 0, **header: int
) -> bytes:
    """A batch by aiokafka's own builder; then what only a broker writes is written into its header."""
    builder = DefaultRecordBatchBuilder(2, CODECS[codec], 0, producer, 0, 0, 1 << 30)
    for offset, timestamp, key, value, headers in rows:
        assert builder.append(offset - base, timestamp, key, value, list(headers)) is not None
    data = bytearray(builder.build())
    head = list(batches.HEADER.unpack_from(data))
    head[0], head[5] = base, head[5] | attributes
    head[12] = header.get("count", head[12])
    batches.HEADER.pack_into(data, 0, *head)
    head[4] = google_crc32c.value(bytes(data[21:]))
    batches.HEADER.pack_into(data, 0, *head)
    assert DefaultRecordBatch(bytes(data)).validate_crc()
    return bytes(data)


def fetched(
    data: bytes, marker: Any, offset: int = 0, isolation: int = UNCOMMITTED, aborted: Any = None, crcs: bool = True
) -> Any:
    """What the fetcher makes of a response, for a consumer with this value deserializer."""
    return fetcher.PartitionRecords(PLACE, fetcher.MemoryRecords(data), aborted, offset, None, marker, crcs, isolation)


def slabs(data: bytes, *arguments: Any, **options: Any) -> list[Slab]:
    return list(fetched(data, batches.WHOLE_BATCHES, *arguments, **options))


def rows_of(found: Sequence[Slab]) -> list[Row]:
    return [(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for slab in found for r, _ in slab.records()]


def aiokafkas(data: bytes, *arguments: Any, **options: Any) -> list[Row]:
    return [(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in fetched(data, None, *arguments, **options)]


def numbered(fields: Sequence[Any], base: int = 0) -> list[Row]:
    return [(base + index, *field) for index, field in enumerate(fields)]


@pytest.mark.parametrize("codec", CODECS)
@given(FIELDS, st.integers(0, 2**40))
@settings(deadline=None, max_examples=40)
def test_keys_values_headers_times_and_offsets_come_back(codec: str, fields: Sequence[Any], base: int) -> None:
    rows = numbered(fields, base)
    data = built(rows, codec, base=base)

    assert rows_of(slabs(data, base)) == rows == aiokafkas(data, base)


@pytest.mark.parametrize("codec", CODECS)
def test_a_compressed_batch_is_handed_on_unpacked_and_neighbours_stay_one_buffer(codec: str) -> None:
    first = built([(n, 5, b"k", b"value " * 50, []) for n in range(3)], codec)
    second = built([(n, 7, None, b"other " * 50, []) for n in range(3, 5)], codec, base=3)
    assert DefaultRecordBatch(first).compression_type == CODECS[codec]

    found = slabs(first + second)

    spans = [(slab.first_offset, slab.next_offset, slab.count, slab.timestamp) for slab in found]
    assert spans == ([(0, 5, 5, 5)] if codec == "none" else [(0, 3, 3, 5), (0, 5, 2, 7)])
    assert sum(bytes(slab.data).count(b"value ") for slab in found) == 150
    assert {(slab.topic, slab.partition, slab.broken) for slab in found} == {("events", 3, None)}


class Sent(NamedTuple):
    """A batch as a broker may send it."""

    kind: str
    codec: str
    producer: int
    count: int
    gap: int
    aborted: bool


SENT = st.builds(
    Sent,
    st.sampled_from(["plain", "transactional", "commit", "abort", "log_append_time"]),
    st.sampled_from(sorted(CODECS)),
    st.integers(1, 2),
    st.integers(1, 3),
    st.integers(0, 2),
    st.booleans(),
)


def response(sent: Sequence[Sent]) -> tuple[bytes, list[tuple[int, int]]]:
    """The bytes of the batches one behind the other, and the aborted transactions that a broker would tell."""
    data, aborted, base = b"", [], 0
    for batch in sent:
        base += batch.gap
        attributes = {"plain": 0, "transactional": TRANSACTIONAL, "log_append_time": LOG_APPEND_TIME}
        if batch.kind in ("commit", "abort"):
            rows: list[Row] = [(base, 9, COMMIT if batch.kind == "commit" else ABORT, b"\0" * 6, [])]
            data += built(rows, "none", TRANSACTIONAL | CONTROL, batch.producer, base)
        else:
            rows = [(base + n, 1000 * n, b"%d" % base, b"text " * 30, []) for n in range(batch.count)]
            producer = -1 if batch.kind == "plain" else batch.producer
            data += built(rows, batch.codec, attributes[batch.kind], producer, base)
            if batch.kind == "transactional" and batch.aborted:
                aborted.append((batch.producer, base))
        base = rows[-1][0] + 1
    return data, aborted


ABORTED_AND_ANEW = [
    Sent("transactional", "none", 1, 1, 0, True),
    Sent("abort", "none", 1, 1, 0, False),
    Sent("transactional", "none", 1, 1, 0, False),
]


@given(st.lists(SENT, min_size=1, max_size=6), st.integers(0, 8), st.sampled_from([COMMITTED, UNCOMMITTED]))
@example(ABORTED_AND_ANEW, 2, COMMITTED)
@settings(deadline=None, max_examples=100)
def test_control_batches_aborted_ones_gaps_and_a_fetch_from_the_middle_are_as_with_aiokafka(
    sent: list[Sent], offset: int, isolation: int
) -> None:
    data, aborted = response(sent)
    ours = fetched(data, batches.WHOLE_BATCHES, offset, isolation, aborted)
    theirs = fetched(data, None, offset, isolation, aborted)

    # behind a batch that lies wholly before the offset asked for, aiokafka forgets what was asked
    wanted = [(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in theirs if r.offset >= offset]
    assert rows_of(list(ours)) == wanted
    assert ours.next_fetch_offset == max(theirs.next_fetch_offset, offset)


@given(st.lists(SENT, min_size=1, max_size=6), st.integers(0, 8))
@settings(deadline=None, max_examples=50)
def test_slabs_follow_each_other_and_the_position_never_passes_what_was_handed_on(sent: list[Sent], offset: int) -> None:
    data, aborted = response(sent)
    iterator = fetched(data, batches.WHOLE_BATCHES, offset, COMMITTED, aborted)
    at = offset
    for slab in iterator:
        offsets = [record.offset for record, _ in slab.records()]
        assert offsets == sorted(offsets)
        assert all(at <= found < slab.next_offset for found in offsets)
        assert iterator.next_fetch_offset == slab.next_offset
        at = slab.next_offset


def test_a_control_batch_alone_moves_the_position_and_gives_nothing() -> None:
    iterator = fetched(
        built([(4, 1, COMMIT, b"\0" * 6, [])], attributes=TRANSACTIONAL | CONTROL, base=4), batches.WHOLE_BATCHES
    )

    assert (list(iterator), iterator.next_fetch_offset) == ([], 5)


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_with_a_wrong_checksum_is_refused_and_not_passed_over(codec: str) -> None:
    good = built([(0, 1, b"k", b"good " * 50, [])], codec)
    data = bytearray(good + built([(1, 1, b"k", b"bad " * 50, [])], codec, base=1))
    data[-1] ^= 1

    iterator = fetched(bytes(data), batches.WHOLE_BATCHES)
    with pytest.raises(CorruptRecordException):
        list(iterator)

    assert iterator.next_fetch_offset <= 1


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a_compressed_batch_that_cannot_be_unpacked_is_refused(codec: str) -> None:
    data = bytearray(built([(0, 1, b"k", b"text " * 80, [])], codec))
    data[batches.HEADER.size :] = b"\x07" * (len(data) - batches.HEADER.size)

    with pytest.raises(CorruptRecordException):
        rows_of(slabs(bytes(data), crcs=False))


@given(st.lists(SENT, min_size=1, max_size=3), st.data())
@settings(deadline=None, max_examples=50)
def test_a_response_cut_at_any_byte_gives_its_whole_batches(sent: list[Sent], data: st.DataObject) -> None:
    whole, _ = response(sent)
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    ends = [len(response(sent[:count])[0]) for count in range(len(sent) + 1)]
    complete = max(end for end in ends if end <= len(cut))

    assert rows_of(slabs(cut)) == rows_of(slabs(whole[:complete]))


def test_a_consumer_that_does_not_ask_for_slabs_gets_records_as_ever() -> None:
    rows: list[Row] = [(0, 5, b"k", b"v", [("h", None)])]
    (record,) = fetched(built(rows), None)

    assert (type(record).__name__, record.value, record.headers) == ("ConsumerRecord", b"v", (("h", None),))


# -- which records a hit asks for --------------------------------------------------------------------------------------

MARK = b"<!mark!>"
MARKED = st.lists(st.sampled_from(["", "key", "value", "header", "twice"]), min_size=1, max_size=12)


def marked(where: str, offset: int) -> Row:
    def part(name: str) -> bytes:
        return b"x" * 9 + (MARK if where == name else b"") if where != "twice" else MARK + MARK

    return (offset, offset, part("key"), part("value"), [("h", part("header"))])


def ends_of(data: bytes) -> list[int]:
    return [found.end() for found in re.finditer(re.escape(MARK), data)]


@pytest.mark.parametrize("codec", CODECS)
@given(st.lists(MARKED, min_size=1, max_size=3))
@settings(deadline=None, max_examples=30)
def test_the_records_in_which_hits_end_come_once_each_and_no_others(codec: str, kinds: list[list[str]]) -> None:
    data, wanted, base = b"", [], 0
    for batch in kinds:
        rows = [marked(kind, base + index) for index, kind in enumerate(batch)]
        wanted += [row[0] for row, kind in zip(rows, batch, strict=True) if kind]
        data += built(rows, codec, base=base)
        base += len(rows)

    found = [record for slab in slabs(data) for record, _ in slab.records(ends_of(bytes(slab.data)))]

    assert [record.offset for record in found] == wanted


# -- limits, and bytes that are wrong ----------------------------------------------------------------------------------

DIGITS = random.Random(1).randbytes(450_000).hex().encode()


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a_batch_that_unpacks_to_more_than_the_limit_is_kept_as_it_came(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_BATCH_BYTES", 1 << 20)
    bomb = built([(0, 1, None, b"\0" * (1 << 21), [])], codec)

    first, second = slabs(bomb + built([(1, 1, None, b"good", [])], base=1))

    assert (first.broken, bytes(first.data), first.next_offset) == ("decompression_limit", bomb[batches.HEADER.size :], 1)
    assert (second.broken, [record.value for record, _ in second.records()]) == (None, [b"good"])


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("value", [b"\0" * 900_000, DIGITS], ids=["zeros", "digits"])
def test_a_batch_that_unpacks_to_less_than_the_limit_is_unpacked_however_well_it_packs(
    codec: str, value: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MOST_BATCH_BYTES", 1 << 20)

    (slab,) = slabs(built([(0, 1, None, value, [])], codec))

    assert slab.broken is None
    assert [record.value for record, _ in slab.records()] == [value]


@pytest.mark.parametrize("codec", CODECS)
def test_many_records_in_one_batch_all_come(codec: str) -> None:
    rows: list[Row] = [(n, n, None, b"%d" % n, []) for n in range(20_000)]

    assert rows_of(slabs(built(rows, codec))) == rows


def test_a_count_that_lies_changes_nothing_about_the_records() -> None:
    rows: list[Row] = [(0, 1, b"k", b"v", [])]

    assert rows_of(slabs(built(rows, count=2**31 - 1))) == rows
    assert rows_of(slabs(built(rows, count=0))) == rows


def alone(data: bytes) -> Slab:
    return Slab("events", 3, data, [Batch(0, len(data), 0, 1, 0, -1, 1)], 0)


def varint(number: int) -> bytes:
    out = bytearray()
    encode_varint(number, out.append)
    return bytes(out)


HUGE = {
    "record": varint(2**31 - 1) + b"\0" * 20,
    "negative record": varint(-5) + b"\0" * 20,
    "negative record of two bytes": varint(-500) + b"\0" * 600,
    "negative record of three bytes": varint(-50_000) + b"\0" * 20,
    "key": varint(20) + b"\0" + varint(0) * 2 + varint(2**31 - 1) + b"\0" * 12,
    "headers": varint(12) + b"\0" + varint(0) * 4 + varint(2**31 - 1) + b"\0" * 2,
    "header name": varint(12) + b"\0" + varint(0) * 4 + varint(1) + varint(2**40) + b"\0",
    "endless number": b"\xff" * 40,
}


@pytest.mark.parametrize("size", [0, 50, 64, 8_000, 8_192, 20_000, 1_100_000])
def test_records_of_any_length_are_passed_over_to_the_one_that_was_hit(size: int) -> None:
    records = [Record("events", 0, offset, 0, None, b"x" * size) for offset in range(5)]
    written = [encode_record(record, 0, 0) for record in records]
    data = b"".join(written)
    slab = Slab("events", 0, data, [Batch(0, len(data), 0, 5, 0, -1, 5)], 0)

    for offset, record in enumerate(records):
        end = sum(map(len, written[: offset + 1]))
        assert [found for found, _ in slab.records([end])] == [record]


@pytest.mark.parametrize("what", HUGE)
@pytest.mark.parametrize("ends", [None, [5]])
def test_lengths_and_counts_beyond_the_batch_are_refused_at_once(what: str, ends: list[int] | None) -> None:
    with pytest.raises(CorruptRecordException):
        list(alone(HUGE[what]).records(ends))


@given(st.binary(max_size=200), st.integers(0, 200))
@settings(deadline=None, max_examples=100)
def test_arbitrary_bytes_end_or_are_refused(data: bytes, at: int) -> None:
    def read(ends: list[int] | None) -> Iterator[Record]:
        with contextlib.suppress(CorruptRecordException):
            yield from alone(data).records(ends)

    assert len(list(read(None))) <= len(data)
    assert len(list(read([at]))) <= 1


@given(FIELDS)
@settings(deadline=None, max_examples=50)
def test_an_encoded_record_is_what_aiokafkas_builder_writes(fields: Sequence[Any]) -> None:
    rows = numbered(fields)
    base_time = rows[0][1]

    written = [
        encode_record(Record("events", 3, offset, timestamp, key, value, tuple(headers)), 0, base_time)
        for offset, timestamp, key, value, headers in rows
    ]

    assert b"".join(written) == built(rows)[batches.HEADER.size :]


# -- older message sets ------------------------------------------------------------------------------------------------


def older(magic: int, codec: int, rows: Sequence[tuple[int, int, bytes | None, bytes | None]]) -> bytes:
    builder = LegacyRecordBatchBuilder(magic, codec, 1 << 30)
    for offset, timestamp, key, value in rows:
        builder.append(offset, timestamp, key, value)
    return bytes(builder.build())


@pytest.mark.parametrize(("magic", "codec"), [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (1, 3)])
def test_older_message_sets_give_the_same_keys_values_and_offsets(magic: int, codec: int) -> None:
    rows = [(n, 1000 + n, None if n % 2 else b"k", None if n == 3 else b"value %d " % n * 20) for n in range(5)]
    data = older(magic, codec, rows)

    found = [(offset, key, value) for offset, _, key, value, _ in rows_of(slabs(data))]

    assert found == [(offset, key, value) for offset, _, key, value in rows]
    if magic == 1:
        assert rows_of(slabs(data)) == aiokafkas(data)
