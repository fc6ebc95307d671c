"""What is fuzzed: each target takes any bytes, and raises only if something is wrong with us.

What a target expects of the code under test is written in it: which errors it may raise, and what has to hold afterwards.
"""

import base64
import contextlib
import gzip
import json
import random
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from service import app, proof, settings
from service.consume import batches
from service.consume.batches import Batch, Slab, encode_record
from service.decode import compressed, layers, sniff
from service.decode.flat import Flat
from service.detect import catalogue, database
from service.errors import DetectorError, SettingsError, SluiceError, UndecodableError
from service.inspection import Inspector
from service.judge import evidence, suppression
from service.publish import verdicts
from service.records import Confidence, Record, Span

Target = Callable[[bytes], None]

_FOLDER = tempfile.TemporaryDirectory(prefix="sluice-fuzz-")
REASONS = frozenset(("decompression_limit", "too_many_findings", "undecodable"))
"""Why a record may become a dead letter; a fault of ours is none of them."""


@cache
def inspector() -> Inspector:
    loaded, _ = app.load_database()
    return app.inspector(loaded, Confidence.low)


def slab_of(record: Record) -> Slab:
    data = encode_record(record, record.offset, 0)
    return Slab("t", 0, data, [Batch(0, len(data), record.offset, record.offset + 1, 0, -1, 1)], record.offset)


def _split(data: bytes) -> Record:
    """A record of any bytes: the first says how much of the rest is key and header."""
    if not data:
        return Record("t", 0, 7, 0, None, None)
    key, header, rest = data[0] & 15, data[0] >> 4, data[1:]
    name = rest[key : key + header].decode("utf-8", "replace")
    headers = ((name, rest[key : key + 2 * header]),) if header else ()
    return Record("t", 0, 7, 0, rest[:key] or None, rest[key + 2 * header :], headers)


def records(data: bytes) -> None:
    """Decode, detect and judge: no record is a fault of ours, and what it becomes stays in proportion to it."""
    record = _split(data)
    for value in (record, Record("t", 0, 7, 0, None, data)):
        inspected, _ = inspector().slabs([slab_of(value)])
        for failure in inspected[0].failures:
            assert failure.reason in REASONS, (failure.reason, failure.error)
        for found in inspected[0].found:
            assert found.occurrences >= 1
            assert (found.location.line or 1) >= 0


def envelopes(data: bytes) -> None:
    """Every envelope, recognised or fixed for the topic: nothing but ``UndecodableError``, and every text is found again."""
    record = _split(data)
    for name in (None, *sniff.envelopes()):
        try:
            events = list(sniff.decode(record, name))
        except UndecodableError as error:
            assert error.reason in REASONS  # noqa: PT017 - reasons are a closed list
            continue
        for event in events:
            flat = Flat(event)
            for at in range(0, len(flat.data), max(1, len(flat.data) // 8)):
                place = flat.place(Span(at, at + 1))
                assert place is None or place.text.data[place.offset : place.offset + 1] is not None


def unwrapping(data: bytes) -> None:
    """Layers of encoding: a layer's places lie inside the text that was decoded."""
    if len(data) < 4:
        return
    end, length, phase, text = data[0] % max(1, len(data) - 3), data[1] % 16, data[2] % 4, data[3:]
    for kind in ("base64", "hex", "utf-16", "unicode-escape", "plain"):
        layer = layers.unwrap(kind, text, max(end, length), length, phase)
        if layer is not None and layer.data:
            assert 0 <= layer.whole.start <= layer.whole.end <= len(text)
            span = layer.origin(Span(0, len(layer.data)))
            assert layer.whole.start <= span.start <= span.end <= layer.whole.end


def unpacking(data: bytes) -> None:
    """Compressed values: damaged ones are values as they are, bombs are told."""
    for kind in ("gzip", "zstd", "lz4", "snappy"):
        try:
            unpacked = compressed.unpack(data, kind)
        except UndecodableError:
            continue
        assert unpacked is None or len(unpacked) <= compressed.MOST_BYTES + len(data)


def wire(data: bytes) -> None:
    """Record batches as a broker, or somebody between, may send them: damage is told as Kafka's errors."""
    slabs = batches._Slabs(TopicPartition("t", 0), data, [(1, 0)], 0, False, 1)
    try:
        for slab in slabs:
            for record, _ in () if slab.broken else slab.records():
                assert record.offset >= 0
    except KafkaError:
        pass


def configuration(data: bytes) -> None:
    """Settings, as a file: a ``SettingsError`` that names the file, or settings."""
    path = Path(_FOLDER.name) / "sluice.toml"
    path.write_bytes(data)
    try:
        settings.load(path, {})
    except SettingsError as error:
        assert str(error).strip()  # noqa: PT017


def environment(data: bytes) -> None:
    """Settings, as environment variables."""
    given = dict(line.partition("=")[::2] for line in data.decode("utf-8", "replace").split("\n") if "=" in line)
    try:
        settings.load(None, given)
    except SettingsError as error:
        assert str(error).strip()  # noqa: PT017


def detectors(data: bytes) -> None:
    """Detector files: a ``SluiceError``, or detectors that compile, or that the engine refuses by name."""
    try:
        found = catalogue.load([catalogue.Source("fuzz", "fuzz/fuzz.toml", data)], evidence.names())
    except DetectorError as error:
        assert "fuzz/fuzz.toml" in str(error)  # noqa: PT017
        return
    try:
        built = database.build(found)
    except SluiceError:
        return
    app.inspector(built, Confidence.low).text(data)


def allowlists(data: bytes) -> None:
    """Allow-lists: a ``SettingsError``, or entries."""
    path = Path(_FOLDER.name) / "allow.toml"
    path.write_bytes(data)
    try:
        suppression.load(path)
    except SettingsError as error:
        assert "allow.toml" in str(error)  # noqa: PT017


def opinions(data: bytes) -> None:
    """Verdicts, as anybody who may write the topic can write them."""
    key, _, value = data.partition(b"\n")
    for one in (key, b"ab" * 32):
        with contextlib.suppress(verdicts.VerdictError):
            verdicts.parse(one, value, 0.0)


# -- seeds: small, and made on the spot --------------------------------------------------------------------------------


def _secrets(rng: random.Random) -> list[bytes]:
    loaded, _ = app.load_database()
    return [proof.secret_of(detector, rng) for detector in rng.sample(list(loaded.detectors), 25)]


def _records(rng: random.Random) -> list[bytes]:
    secrets = _secrets(rng)
    texts = [b"TOKEN=" + secret for secret in secrets]
    found = [b"\0" + text for text in texts]
    for text in texts[:8]:
        told = text.decode("latin-1")
        for document in (
            {"type": "code", "path": "a/b.py", "content": told, "start_line": 3},
            {"type": "code", "path": "a/b.py", "patch": f"@@ -1,2 +5,3 @@\n+{told}\n-x\n"},
            {"type": "log", "message": json.dumps({"m": told}), "host": "h"},
            {"@timestamp": 1.5, "log": told, "kubernetes": {"pod_name": "p"}},
            {"specversion": "1.0", "type": "x", "source": "s", "data_base64": base64.b64encode(text).decode()},
            {"payload": {"op": "u", "before": None, "after": {"a": told}, "source": {"db": "d"}}},
            {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": told}}]}]}]},
            {"ref": "refs/heads/main", "commits": [{"id": "1", "message": told}], "repository": {"full_name": "a/b"}},
            {"short_message": told, "version": "1.1", "host": "h"},
        ):
            found.append(b"\0" + json.dumps(document).encode())
        found += [
            b"\0" + gzip.compress(text),
            b"\0" + base64.b64encode(text),
            b"\0" + text.hex().encode(),
            b"\0" + told.encode("utf-16-le"),
            b"\0<34>1 2026-01-01T00:00:00Z h a - - - " + text,
            b"\x11" + text,
            b"\0" + b"".join(b"\\u%04x" % byte for byte in text),
            b"\0" + b"".join(b"%%%02x" % byte for byte in text),
        ]
    return found


def _batches(rng: random.Random) -> list[bytes]:
    from aiokafka.record.default_records import DefaultRecordBatchBuilder

    found = []
    for kind in range(5):
        builder = DefaultRecordBatchBuilder(2, kind, kind == 1, 1, 0, 0, 4096)
        for offset in range(3):
            builder.append(offset, 1_700_000_000_000, b"k", b"value %d" % offset * 20, [("h", b"v"), ("n", None)])
        found.append(bytes(builder.build()))
    return [*found, b"".join(found)]


SETTINGS = b"""
[kafka]
bootstrap_servers = "kafka-1:9092,kafka-2:9092"
security_protocol = "SASL_SSL"
session_timeout_ms = 30000
[consume]
topics = ["git.events", "logs.app"]
envelopes = { "logs.app" = "filebeat" }
topic_pattern = "a(b|c)+"
[publish]
min_confidence = "medium"
[dead_letters]
max_ratio = 0.5
"""
DETECTOR = b"""
provider = "Acme"
documentation = "https://acme.example"
[[secret]]
id = "acme-token"
name = "Acme token"
severity = "high"
expression = 'acmetok_(?:live|test)_[A-Za-z0-9]{8,32}(?:x|yz)?'
before = '(?:https://)?'
after = '@host'
keywords = ["acmeword"]
boundary = "token"
entropy = 1.5
checks = ["jwt"]
companions = ["account id"]
examples = ["ACME_TOKEN={secret}"]
"""
ALLOW = b"""
[[allow]]
owner = "ann"
reason = "made up"
expires = 2027-01-01
path = ["tests/**", "docs/*.md"]
detector = "acme-*"
expression = 'acme[0-9]+'
"""
VERDICT = b"ab" * 32 + b'\n{"verdict": "false_positive", "by": "ann", "at": "2026-03-01T10:00:00Z", "until": "2027-01-01"}'
ENVIRONMENT = b"KAFKA_BOOTSTRAP_SERVERS=a:1\nSLUICE_CONSUME__TOPICS=a,b\nSLUICE_CONSUME__ENVELOPES=a=json\nPORT=9464"


def _layered(rng: random.Random) -> list[bytes]:
    return [bytes((rng.randrange(256), 8, phase)) + record[1:] for phase in range(4) for record in _records(rng)[-8:]]


TARGETS: dict[str, tuple[Target, Callable[[random.Random], Sequence[bytes]], Sequence[bytes]]] = {
    "records": (records, _records, (b'"', b"\\", b"\0", b"eyJ", b"{", b"[", b"\n", b"key=", b"-----BEGIN ")),
    "envelopes": (envelopes, _records, (b'"', b"\\u0000", b"{", b"[", b"null", b"\xff", b"@@ -1 +1 @@", b"1e999")),
    "unwrapping": (unwrapping, _layered, (b"\\", b"%", b"\\u", b"=", b"\0", b"H4sI")),
    "unpacking": (
        unpacking,
        lambda rng: [gzip.compress(b"a" * 500), b"\x28\xb5\x2f\xfd\x04\x00\x09\x00\x00a\x00", b"\xff\x06\x00\x00sNaPpY"],
        (b"\xff\xff\xff\xff", b"\x00"),
    ),
    "wire": (wire, _batches, (b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x80", b"\x02")),
    "configuration": (configuration, lambda rng: [SETTINGS], (b'"', b"[", b"]", b"=", b"-1", b"9" * 30, b"nan", b"\xff")),
    "environment": (environment, lambda rng: [ENVIRONMENT], (b"SLUICE_", b"__", b"=", b",", b"9" * 5000, b"\0")),
    "detectors": (detectors, lambda rng: [DETECTOR], (b"{1,9}", b"+", b"(", b")", b"|", b"[^a]", b".{0,999}", b"\\", b'"')),
    "allowlists": (allowlists, lambda rng: [ALLOW], (b'"', b"**", b"(", b"+", b"{1,999}", b"[[allow]]", b"\\")),
    "opinions": (opinions, lambda rng: [VERDICT], (b"null", b"1e999", b"-", b"9" * 5000, b'"', b"\\ud800", b"9999-99-99")),
}
"""By name: the target, its seeds, and what a mutation likes to put in."""
