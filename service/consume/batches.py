"""Record batches as they arrived, before anything is made of them.

aiokafka builds an object for every record; for a consumer that has nothing to say about 97 % of them this is most of the
cost. Here a fetched slice of a partition stays one buffer, which the engine scans whole: keys, values and headers in one
call. Only where something hit is the buffer walked and a record taken out.

The hook is small and explicit. aiokafka's fetcher makes a ``PartitionRecords`` of what a broker sent; :func:`install`
puts ours in its place for those consumers that ask for it by passing :data:`WHOLE_BATCHES` as their value deserializer.
Every other consumer of the process is left as it was. It is proved against the pinned minor version of aiokafka, and
refuses to start on another.

The format of record batches: Kafka's documentation, "Message format", version 2 (magic 2). Older message sets are taken
apart by aiokafka and put back together as one buffer.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import aiokafka
import cramjam
import google_crc32c
from aiokafka import codec
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords

from service.errors import SourceError
from service.records import Record

PROVED_VERSION: Final = "0.14."
HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_CRC_START: Final = 21
_SHORTEST: Final = 17  # of any batch: offset, length, and up to the magic byte

MOST_BATCH_BYTES: Final = 256 * 1024 * 1024
"""A batch that decompresses to more is not unpacked: it goes to the dead letters as it is."""


def WHOLE_BATCHES(value: bytes) -> bytes:  # noqa: N802 - a marker, compared by identity
    """Given as ``value_deserializer``, it makes a consumer hand on :class:`Slab` objects in place of records."""
    raise AssertionError("the marker is never called")


class Batch:
    """One record batch inside a slab's buffer: where its records stand, and what their deltas count from."""

    __slots__ = ("base_offset", "base_timestamp", "count", "end", "fixed_timestamp", "next_offset", "start")

    def __init__(
        self, start: int, end: int, base_offset: int, next_offset: int, base_timestamp: int, fixed: int, count: int
    ) -> None:
        self.start = start
        self.end = end
        self.base_offset = base_offset
        self.next_offset = next_offset
        self.base_timestamp = base_timestamp
        self.fixed_timestamp = fixed
        self.count = count


_SHORT: Final = tuple(
    MOST_BATCH_BYTES if head & 1 else 1 + (head >> 1) if head < 0x80 else 2 + ((head & 0x7F) >> 1) for head in range(256)
)
"""How far a record goes whose length begins with this byte, and is in no more bytes; what is negative goes beyond all."""

_MORE: Final = tuple(more << 6 for more in range(0x80))
"""How much farther by a second byte, which is the last one if it is in here."""


class Slab:
    """Neighbouring record batches of one partition in one buffer.

    ``data`` is what is to be scanned. ``first_offset`` to ``next_offset`` (excluded) are the offsets it stands for,
    ``count`` its records, ``timestamp`` the oldest batch's time in milliseconds (-1: none). ``broken`` gives the reason
    where the buffer could not be unpacked and is kept as it came.
    """

    __slots__ = ("batches", "broken", "count", "data", "first_offset", "next_offset", "partition", "timestamp", "topic")

    def __init__(
        self, topic: str, partition: int, data: bytes | memoryview, batches: Sequence[Batch], first_offset: int
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.data = data
        self.batches = batches
        self.first_offset = first_offset
        self.next_offset = batches[-1].next_offset
        self.count = sum(batch.count for batch in batches)
        self.timestamp = batches[0].base_timestamp
        self.broken: str | None = None

    def records(self, ends: Sequence[int] | None = None) -> Iterator[tuple[Record, int]]:
        """The records in which a hit ends, each once and in order, and where in ``data`` the value of each begins.

        Args:
            ends: offsets in ``data``, rising; all records for None.
        """
        data = bytes(self.data) if isinstance(self.data, memoryview) else self.data
        at_hit = 0
        for batch in self.batches:
            at = batch.start
            while at < batch.end:
                if ends is None:
                    target = at + 1
                else:
                    while at_hit < len(ends) and ends[at_hit] <= at:
                        at_hit += 1  # in a record that was given, or in the header of a batch: chance
                    if at_hit >= len(ends):
                        return
                    target = ends[at_hit]
                    if target > batch.end:
                        break
                at, body, stop = self._record_at(data, at, target)
                if stop > batch.end:
                    raise CorruptRecordException(f"{self.topic}-{self.partition}: a record goes beyond its batch")
                record, value_at = self._record(data, body, stop, batch)
                if record.offset >= self.first_offset:
                    yield record, value_at
                at = stop

    def _record_at(self, data: bytes, at: int, target: int) -> tuple[int, int, int]:
        """Steps from record to record to the one that holds the byte before ``target``: its start, its body, its end."""
        stop = at
        while stop < target:
            try:
                # nearly every length takes one byte or two: to decode each would cost more than all the rest
                while stop < target:
                    at = stop
                    if (head := data[at]) < 0x80:
                        stop += _SHORT[head]
                    else:
                        stop += _SHORT[head] + _MORE[data[at + 1]]
            except IndexError:
                length, body = _varint(data, at)
                if length < 0:
                    break
                stop = body + length
        length, body = _varint(data, at)
        if length < 0:
            raise CorruptRecordException(f"{self.topic}-{self.partition}: a record of a negative length")
        return at, body, stop

    def _record(self, data: bytes, at: int, stop: int, batch: Batch) -> tuple[Record, int]:
        at += 1  # attributes, unused
        timestamp, at = _varint(data, at)
        offset, at = _varint(data, at)
        key, at = _field(data, at, stop)
        value, at = _field(data, at, stop)
        value_at = at - len(value or b"")
        count, at = _varint(data, at)
        headers = []
        for _ in range(count):
            name, at = _field(data, at, stop)
            content, at = _field(data, at, stop)
            headers.append(((name or b"").decode("utf-8", "replace"), content))
        record = Record(
            topic=self.topic,
            partition=self.partition,
            offset=batch.base_offset + offset,
            timestamp=batch.fixed_timestamp if batch.fixed_timestamp >= 0 else batch.base_timestamp + timestamp,
            key=key,
            value=value,
            headers=tuple(headers),
        )
        return record, value_at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A zigzag number and where it ends.

    Raises:
        CorruptRecordException: it does not end.
    """
    value = shift = 0
    try:
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1), at
            shift += 7
            if shift > 63:
                break
    except IndexError:
        pass
    raise CorruptRecordException("a number inside a record does not end")


def _field(data: bytes, at: int, stop: int) -> tuple[bytes | None, int]:
    length, at = _varint(data, at)
    if length < 0:
        return None, at
    if at + length > stop:
        raise CorruptRecordException("a field goes beyond its record")
    return data[at : at + length], at + length


def encode_record(record: Record, base_offset: int, base_timestamp: int) -> bytes:
    """A record in version 2 of the format, with deltas from the given bases: what older message sets are turned into."""
    parts = [b"\0", _zigzag(record.timestamp - base_timestamp), _zigzag(record.offset - base_offset)]
    parts += [_zigzag(-1) if field is None else _zigzag(len(field)) + field for field in (record.key, record.value)]
    parts.append(_zigzag(len(record.headers)))
    for name, content in record.headers:
        parts.append(_zigzag(len(name.encode())) + name.encode())
        parts.append(_zigzag(-1) if content is None else _zigzag(len(content)) + content)
    body = b"".join(parts)
    return _zigzag(len(body)) + body


def _zigzag(number: int) -> bytes:
    value = (number << 1) ^ (number >> 63)
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


# -- what takes the place of aiokafka's classes ------------------------------------------------------------------------


class _Fetched:
    """The bytes of one partition in a fetch response; stands in for ``MemoryRecords`` and can still become one."""

    __slots__ = ("data",)

    def __init__(self, data: bytes | None) -> None:
        self.data = data or b""

    def has_next(self) -> bool:
        data = self.data
        return len(data) >= _SHORTEST and 12 + int.from_bytes(data[8:12]) <= len(data)

    def size_in_bytes(self) -> int:
        return len(self.data)


def _partition_records(
    tp: Any, records: _Fetched, aborted: Any, offset: int, key: Any, value: Any, crcs: bool, isolation: int
) -> Any:
    if value is WHOLE_BATCHES:
        return _Slabs(tp, records.data, aborted, offset, crcs, isolation)
    return _ORIGINAL(tp, MemoryRecords(records.data), aborted, offset, key, value, crcs, isolation)


def held_bytes(records: Any) -> int:
    """Bytes of what was fetched of a partition and is not taken yet; ``records`` is what the library keeps of it."""
    return len(records._data) if isinstance(records, _Slabs) else 0


class _Slabs:
    """An iterator of slabs, with the interface that the fetcher asks of ``PartitionRecords``."""

    def __init__(
        self, tp: Any, data: bytes, aborted: Sequence[tuple[int, int]] | None, offset: int, crcs: bool, isolation: int
    ) -> None:
        self.next_fetch_offset = offset
        self._tp = tp
        self._data = data
        self._aborted = sorted(aborted or (), key=lambda pair: pair[1])
        self._aborted_producers: set[int] = set()
        self._check_crcs = crcs
        self._committed_only = isolation == fetcher.READ_COMMITTED
        self._iterator = self._slabs()

    def __iter__(self) -> _Slabs:
        return self

    def __next__(self) -> Slab:
        return next(self._iterator)

    def _slabs(self) -> Iterator[Slab]:
        data = self._data
        wanted = self.next_fetch_offset
        plain: list[Batch] = []
        at = 0
        while len(data) - at >= _SHORTEST:
            end = at + 12 + int.from_bytes(data[at + 8 : at + 12])
            if end > len(data):
                break
            if data[at + 16] < 2:
                if plain:
                    yield self._slab(data, plain, wanted)
                    plain = []
                yield self._legacy(data[at:], wanted)
                return
            head = HEADER.unpack_from(data, at)
            next_offset = head[0] + head[6] + 1
            if self._check_crcs and google_crc32c.value(data[at + _CRC_START : end]) != head[4]:
                raise CorruptRecordException(f"{self._tp.topic}-{self._tp.partition}: a batch with a wrong checksum")
            attributes = head[5]
            # asked of each batch: the marker that ends an aborted transaction may lie before what is wanted
            if not self._is_skipped(data, at, end, head) and next_offset > wanted:
                fixed = head[8] if attributes & 8 else -1
                batch = Batch(at + HEADER.size, end, head[0], next_offset, head[7], fixed, head[12])
                if attributes & 7:
                    if plain:
                        yield self._slab(data, plain, wanted)
                        plain = []
                    yield self._unpacked(data, batch, attributes & 7, wanted)
                else:
                    plain.append(batch)
            elif not plain:
                self.next_fetch_offset = max(self.next_fetch_offset, next_offset)
            elif next_offset > plain[-1].next_offset:
                plain[-1].next_offset = next_offset  # a control batch behind them is done with them
            at = end
        if plain:
            yield self._slab(data, plain, wanted)

    def _slab(self, data: bytes, batches: list[Batch], wanted: int) -> Slab:
        start, end = batches[0].start, batches[-1].end
        view: bytes | memoryview = data
        if start > HEADER.size or end < len(data):
            view = memoryview(data)[start:end]
            for batch in batches:
                batch.start -= start
                batch.end -= start
        slab = Slab(self._tp.topic, self._tp.partition, view, batches, wanted)
        self.next_fetch_offset = slab.next_offset
        return slab

    def _unpacked(self, data: bytes, batch: Batch, kind: int, wanted: int) -> Slab:
        packed = data[batch.start : batch.end]
        try:
            unpacked: bytes | None = _decompress(packed, kind)
        except Exception as error:  # whatever a codec raises on damaged input
            raise CorruptRecordException(f"{self._tp.topic}-{self._tp.partition}: a batch cannot be unpacked") from error
        broken = None
        if unpacked is None:
            unpacked, broken = packed, "decompression_limit"
        batch.start, batch.end = 0, len(unpacked)
        slab = Slab(self._tp.topic, self._tp.partition, unpacked, [batch], wanted)
        slab.broken = broken
        self.next_fetch_offset = batch.next_offset
        return slab

    def _is_skipped(self, data: bytes, at: int, end: int, head: tuple[int, ...]) -> bool:
        """True for control batches, and for those of aborted transactions if only committed ones are wanted."""
        attributes, producer = head[5], head[9]
        is_control = bool(attributes & 0x20)
        if self._committed_only and producer >= 0:
            while self._aborted and self._aborted[0][1] <= head[0]:
                self._aborted_producers.add(self._aborted.pop(0)[0])
            if is_control and _is_abort(data, at + HEADER.size):
                self._aborted_producers.discard(producer)
            if attributes & 0x10 and producer in self._aborted_producers:
                return True
        return is_control

    def _legacy(self, data: bytes, wanted: int) -> Slab:
        buffer = bytearray()
        base = stamp = -1
        offset = wanted - 1
        count = 0
        try:
            records = MemoryRecords(data)
            while records.has_next():
                for old in records.next_batch():
                    if base < 0:
                        base, stamp = old.offset, old.timestamp or 0
                    record = Record("", 0, old.offset, old.timestamp or stamp, old.key, old.value)
                    buffer += encode_record(record, base, stamp)
                    offset = old.offset
                    count += 1
        except Exception as error:
            raise CorruptRecordException(f"{self._tp.topic}-{self._tp.partition}: an old message set is damaged") from error
        batch = Batch(0, len(buffer), base, offset + 1, stamp, -1, count)
        self.next_fetch_offset = offset + 1
        return Slab(self._tp.topic, self._tp.partition, bytes(buffer), [batch], wanted)


def _is_abort(data: bytes, at: int) -> bool:
    """A control record's key says version and type; type 0 aborts."""
    _, at = _varint(data, at)
    at += 1
    _, at = _varint(data, at)
    _, at = _varint(data, at)
    key, _ = _field(data, at, len(data))
    return key is not None and key[2:4] == b"\0\0"


def _decompress(packed: bytes, kind: int) -> bytes | None:
    """The batch's records; None if they are more than :data:`MOST_BATCH_BYTES`."""
    if kind == 1:
        inflater = zlib.decompressobj(wbits=47)
        data = inflater.decompress(packed, MOST_BATCH_BYTES)
        return None if inflater.unconsumed_tail else data
    if kind == 2:
        return bytes(codec.snappy_decode(packed)) if _snappy_size(packed) <= MOST_BATCH_BYTES else None
    if kind in (3, 4):
        # these pack without bound; the room grows in steps, so that an honest batch pays for what it holds
        decoder = cramjam.lz4 if kind == 3 else cramjam.zstd
        room = min(max(16 * len(packed), 1 << 16), MOST_BATCH_BYTES)
        while True:
            target = bytearray(room)
            try:
                return bytes(memoryview(target)[: decoder.decompress_into(packed, target)])
            except cramjam.DecompressionError as error:
                if "write whole buffer" not in str(error):
                    raise
                if room >= MOST_BATCH_BYTES:
                    return None
                room = min(8 * room, MOST_BATCH_BYTES)
    raise CorruptRecordException(f"compression {kind} is unknown")


def _snappy_size(packed: bytes) -> int:
    """What Snappy's own heads say, of one block or of the blocks of the framing that Java producers write."""
    if not packed.startswith(b"\x82SNAPPY\0"):
        return int(cramjam.snappy.decompress_raw_len(packed))
    size, at = 0, 16
    while at + 4 <= len(packed):
        length = int.from_bytes(packed[at : at + 4])
        size += int(cramjam.snappy.decompress_raw_len(packed[at + 4 : at + 4 + length]))
        at += 4 + length
    return size


_ORIGINAL: Final = fetcher.PartitionRecords


def install() -> None:
    """Puts the hook in place, once.

    Raises:
        SourceError: another version of aiokafka is installed than the hook is proved with.
    """
    if not aiokafka.__version__.startswith(PROVED_VERSION):
        raise SourceError(f"aiokafka {PROVED_VERSION}* expected, {aiokafka.__version__} is installed")
    fetcher.MemoryRecords = _Fetched
    fetcher.PartitionRecords = _partition_records
