"""Look at everything that the service needs, and say what to do where it is not so: settings, key, processor, database,
endpoint, every broker, topics, rights, group, clocks.

  sluice doctor --config sluice.toml
  sluice doctor --format json
  sluice doctor --write              also compares clocks, by a topic that is made for it and taken away

Nothing is changed without --write. Exit 0 all is well, 1 something could be better, 2 the service will not work.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import platform
import secrets
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from service.errors import SluiceError

if TYPE_CHECKING:
    from service.consume.rights import Seen, Topic
    from service.settings import Settings

HELP = "look at everything that the service needs"
State = Literal["ok", "warn", "fail"]
_EXIT: Final[dict[State, int]] = {"ok": 0, "warn": 1, "fail": 2}
_SIGN: Final[dict[State, tuple[str, str]]] = {"ok": ("ok", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "bold red")}
_SOON_SECONDS: Final = 30 * 86_400
"""A certificate that ends sooner is told."""
_SKEW_SECONDS: Final = 2.0
_AHEAD_SECONDS: Final = 5.0
_PATIENCE_SECONDS: Final = 15.0
_STRONG_KEY_BYTES: Final = 32
_STRONG_KEY_BITS: Final = 100.0


class Finding(NamedTuple):
    """What was looked at, how it is, and what to do about it."""

    area: str
    state: State
    what: str
    advice: str = ""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, TOML; the environment wins over it")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="text (default) or json")
    parser.add_argument("--write", action="store_true", help="make a topic for a moment, to compare clocks with the broker")


def run(arguments: argparse.Namespace) -> int:
    """Tells all findings; the exit status is the worst."""
    import logging

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it says is found out here, and told better
    show = _shower(arguments.format)

    async def examine() -> list[Finding]:
        found = []
        async for finding in _examine(arguments.config, arguments.write):
            found.append(finding)
            show(finding)
        return found

    found = asyncio.run(examine())
    worst = max((finding.state for finding in found), key=_EXIT.__getitem__)
    if arguments.format == "json":
        import msgspec

        document = {"status": worst, "findings": [finding._asdict() for finding in found]}
        print(msgspec.json.format(msgspec.json.encode(document)).decode())
    else:
        counted = Counter(finding.state for finding in found)
        print(f"\n{counted['ok']} ok, {counted['warn']} warn, {counted['fail']} fail")
    return _EXIT[worst]


def _shower(form: str) -> Callable[[Finding], None]:
    """Shows findings as they come."""
    if form == "json":
        return lambda finding: None
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(soft_wrap=not sys.stdout.isatty())

    def show(finding: Finding) -> None:
        sign, style = _SIGN[finding.state]
        console.print(Text.assemble((f"{sign:<5}", style), (f"{finding.area:<12}", "bold"), finding.what))
        if finding.advice:
            console.print(Padding(Text(f"→ {finding.advice}", "" if finding.state == "ok" else "cyan"), (0, 0, 0, 17)))

    return show


async def _examine(config: Path | None, write: bool) -> AsyncIterator[Finding]:
    from service import app, settings

    try:
        loaded = settings.load(config)
        app.prove(loaded)
    except SluiceError as error:
        yield Finding("settings", "fail", str(error))
        return
    yield Finding("settings", "ok", str(config or "the environment and the defaults"))
    for finding in (*_key(loaded), *_processor(), *await asyncio.to_thread(lambda: [*_database(loaded)]), *_endpoint(loaded)):
        yield finding
    async for finding in _brokers(loaded, write):
        yield finding


# -- this machine --------------------------------------------------------------------------------------------------------


def _key(settings: Settings) -> Iterator[Finding]:
    key = (settings.fingerprint.key or "").encode()
    if not key:
        advice = "put the output of `openssl rand -hex 32` into SLUICE_FINGERPRINT__KEY or fingerprint.key_file, and keep it"
        yield Finding("key", "fail", "fingerprint.key is not set", advice)
        return
    counts = Counter(key)
    bits = len(key) * -sum(count / len(key) * math.log2(count / len(key)) for count in counts.values())
    if len(key) < _STRONG_KEY_BYTES or bits < _STRONG_KEY_BITS:
        advice = "whoever guesses it can try weak secrets against the fingerprints; `openssl rand -hex 32` makes a good one"
        yield Finding("key", "warn", f"fingerprint.key looks weak: {len(key)} bytes, about {bits:.0f} bits", advice)
        return
    yield Finding("key", "ok", f"{len(key)} bytes")
    for section, name in (("fingerprint", "key_file"), ("kafka", "sasl_password_file"), ("telemetry", "token_file")):
        file = getattr(getattr(settings, section), name)
        with contextlib.suppress(OSError):
            if file and os.name == "posix" and os.stat(file).st_mode & 0o007:
                yield Finding("key", "warn", f"{file} ({section}.{name}) may be read by everybody", f"chmod 600 {file}")


def _processor() -> Iterator[Finding]:
    import google_crc32c

    machine = platform.machine()
    flags: set[str] = set()
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="ascii", errors="replace") as info:
        flags = next((set(line.split(":", 1)[1].split()) for line in info if line.startswith(("flags", "Features"))), set())
    if machine in ("x86_64", "AMD64") and flags:
        if not {"ssse3", "sse4_2", "popcnt"} <= flags:
            yield Finding("processor", "fail", f"{machine} without SSSE3, SSE4.2 and POPCNT", "the engine needs them")
            return
        best = next((name for name in ("avx512vbmi", "avx512bw", "avx2") if name in flags), None)
        if best is None:
            yield Finding(
                "processor", "warn", f"{machine} without AVX2", "scanning is slower than it could be: another machine"
            )
        else:
            yield Finding("processor", "ok", f"{machine}, {best.upper()}, {os.cpu_count()} processors")
    else:
        yield Finding("processor", "ok", f"{machine}, {os.cpu_count()} processors")
    if google_crc32c.implementation != "c":
        advice = "install google-crc32c with its binary part: checksums of batches cost a sixth of a consumer otherwise"
        yield Finding("processor", "warn", "checksums are computed in Python", advice)


def _database(settings: Settings) -> Iterator[Finding]:
    from service import app
    from service.detect import database

    folder = database.cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        if os.name == "posix" and folder.stat().st_mode & 0o022:
            yield Finding("database", "warn", f"{folder} may be written by others", f"chmod 700 {folder}")
    except OSError as error:
        advice = "every start compiles for half a minute; set SLUICE_CACHE to a folder that can be written"
        yield Finding("database", "warn", f"{folder} cannot be written: {error.strerror}", advice)
    began = time.monotonic()
    try:
        loaded, digest = app.load_database([Path(folder) for folder in settings.detect.folders], settings.detect.disable)
    except SluiceError as error:
        yield Finding("database", "fail", str(error))
        return
    took = time.monotonic() - began
    how = "from the cache" if took < 5 else "compiled; the next start is quicker"
    yield Finding("database", "ok", f"{len(loaded.detectors):,} secret types, {took:.1f} s, {how} ({digest[:12]})")


def _endpoint(settings: Settings) -> Iterator[Finding]:
    from service.settings import is_loopback
    from service.telemetry import server

    telemetry = settings.telemetry
    try:
        server.prove(telemetry)
    except SluiceError as error:
        yield Finding("endpoint", "fail", str(error))
        return
    if telemetry.socket:
        yield Finding("endpoint", "ok", telemetry.socket)
        return
    where = f"{telemetry.host}:{telemetry.port}"
    if not is_loopback(telemetry.host) and telemetry.tls_certfile is None:
        advice = "set telemetry.tls_certfile and telemetry.tls_keyfile where the network is not your own"
        yield Finding("endpoint", "warn", f"{where} takes the token in the clear", advice)
    try:
        with socket.create_server((telemetry.host, telemetry.port)):
            pass
    except OSError as error:
        advice = "if that is Sluice, all is well; otherwise set telemetry.port"
        yield Finding("endpoint", "warn", f"{where}: {error.strerror}", advice)
        return
    yield Finding("endpoint", "ok", where)


# -- the broker ----------------------------------------------------------------------------------------------------------


async def _brokers(settings: Settings, write: bool) -> AsyncIterator[Finding]:
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    from service.consume import access, rights

    try:
        steps = await access.survey(settings)
    except SluiceError as error:
        yield Finding("broker", "fail", str(error))
        return
    beginnings = {f"{host}:{port}" for host, port in access.servers(settings)}
    lost = all(step.trouble for step in steps if step.address in beginnings)
    for step in steps:
        if step.trouble:
            state: State = "fail" if lost or step.address not in beginnings else "warn"
            yield Finding("broker", state, f"{step.address}: {step.trouble}", step.advice)
        elif step.certificate_ends is not None and step.certificate_ends - time.time() < _SOON_SECONDS:
            days = (step.certificate_ends - time.time()) / 86_400
            yield Finding("broker", "warn", f"{step.address}: its certificate ends in {days:.0f} days", "have it renewed")
        else:
            yield Finding("broker", "ok", step.address)
    if lost:
        return
    admin = AIOKafkaAdminClient(**access.connection(settings), request_timeout_ms=int(_PATIENCE_SECONDS * 1000))
    try:
        names = None if settings.consume.topic_pattern else _own(settings) + list(settings.consume.topics)
        seen = await rights.look(settings, names)
        await admin.start()
        async for finding in _topics(settings, seen, admin):
            yield finding
        async for finding in _group(settings, seen, admin):
            yield finding
        async for finding in _clock(settings, seen, admin, write):
            yield finding
    except SluiceError as error:
        yield Finding("broker", "fail", str(error))
    except (KafkaError, OSError, TimeoutError) as error:
        yield Finding("broker", "fail", f"it does not answer as it should: {type(error).__name__}", "see the broker's log")
    finally:
        await admin.close()


def _own(settings: Settings) -> list[str]:
    return sorted(settings.own_topics)


async def _topics(settings: Settings, seen: Seen, admin: Any) -> AsyncIterator[Finding]:
    import re

    from service.consume import rights

    consume = settings.consume
    if consume.topic_pattern:
        own = settings.own_topics
        events = [name for name in sorted(seen.topics) if name not in own and re.match(consume.topic_pattern, name)]
        if not events:
            what = f"no topic that we may see has a name like {consume.topic_pattern}"
            yield Finding("topics", "warn", what, "is the pattern right, and may we DESCRIBE the topics?")
    else:
        events = list(consume.topics)
    may_create = consume.create_topics and (seen.cluster_may is None or "CREATE" in seen.cluster_may)
    for name in events:
        yield _topic(name, seen.topics.get(name), ("READ", "DESCRIBE"), may_create)
    needed = {
        settings.verdicts.topic: ("READ", "DESCRIBE"),
        settings.sightings_topic: ("READ", "WRITE", "DESCRIBE"),
        settings.secrets_topic: ("READ", "WRITE", "DESCRIBE"),
    }
    usual = ("READ", "WRITE", "DESCRIBE") if settings.publish.delivery == "exactly_once" else ("WRITE", "DESCRIBE")
    for name in _own(settings):
        yield _topic(name, seen.topics.get(name), needed.get(name, usual), may_create)
    sizes: dict[str, int] = {}
    for name in (*events, *_own(settings)):
        found = seen.topics.get(name)
        if found is None or not found.exists:
            continue
        config = await rights.configured(admin, topic=name)
        if not config:
            continue
        sizes[name] = int(config.get("max.message.bytes", "0"))
        policy, least = config.get("cleanup.policy", ""), int(config.get("min.insync.replicas", "1"))
        if name in (settings.publish.topic, settings.dead_letters.topic) and "compact" in policy:
            advice = "it keeps the last record of a key alone: set cleanup.policy=delete"
            yield Finding("topics", "warn", f"{name} is compacted", advice)
        if name in (settings.verdicts.topic, settings.secrets_topic) and "compact" not in policy:
            yield Finding("topics", "warn", f"{name} forgets in time", "set cleanup.policy=compact")
        if found.replicas < least:
            what = f"{name} has {found.replicas} replicas, and writing needs {least} (min.insync.replicas)"
            yield Finding("topics", "fail" if name not in events else "warn", what, "give it more replicas")
        elif name not in events and found.replicas > 1 and least < 2:
            advice = "an acknowledged alert can be lost with one broker: set min.insync.replicas=2"
            yield Finding("topics", "warn", f"{name} acknowledges with one replica", advice)
    letters = sizes.get(settings.dead_letters.topic)
    largest = max((sizes[name] for name in events if name in sizes), default=0)
    if letters and letters < largest:
        what = f"{settings.dead_letters.topic} takes {letters:,} bytes, the events have up to {largest:,}"
        yield Finding("topics", "warn", what, "raise its max.message.bytes, or large dead letters come without their bytes")


def _topic(name: str, found: Topic | None, needed: tuple[str, ...], may_create: bool) -> Finding:
    if found is not None and found.forbidden:
        return Finding("topics", "fail", f"{name}: we may not even DESCRIBE it", f"grant us {' and '.join(needed)} on it")
    if found is None or not found.exists:
        if may_create:
            return Finding("topics", "ok", f"{name} is missing; it is made at the start")
        return Finding("topics", "fail", f"{name} is missing, and we may not make it", "make it, or grant us CREATE")
    if found.may is not None and (lacking := [right for right in needed if right not in found.may]):
        return Finding(
            "topics", "fail", f"{name}: we may not {' nor '.join(lacking)}", f"grant us {' and '.join(lacking)} on it"
        )
    if found.leaderless:
        return Finding("topics", "fail", f"{name}: {found.leaderless} partitions without a leader", "see the brokers' logs")
    if found.behind:
        return Finding("topics", "warn", f"{name}: {found.behind} partitions with replicas behind", "see the brokers' logs")
    return Finding("topics", "ok", f"{name}: {found.partitions} partitions, {found.replicas} replicas")


async def _group(settings: Settings, seen: Seen, admin: Any) -> AsyncIterator[Finding]:
    from service.consume import rights

    kafka = settings.kafka
    partitions = sum(seen.topics[name].partitions for name in settings.consume.topics if name in seen.topics)
    for name in (kafka.group_id, settings.repeats_group):
        found = await rights.group(admin, name)
        if found.forbidden or (found.may is not None and "READ" not in found.may):
            yield Finding("group", "fail", f"{name}: we may not join it", "grant us READ on the group")
        elif name == kafka.group_id and found.members > partitions > 0 and not settings.consume.topic_pattern:
            what = f"{name}: {found.members} members for {partitions} partitions"
            yield Finding("group", "warn", what, "the others idle: fewer workers, or more partitions")
        else:
            state = "not there yet" if found.state in ("", "Dead") else found.state.lower()
            yield Finding("group", "ok", f"{name}: {state}, {found.members} members")
    config = await rights.configured(admin, broker=await admin.find_coordinator(kafka.group_id))
    bounds = [int(config.get(f"group.{bound}.session.timeout.ms") or 0) for bound in ("min", "max")]
    if bounds[1] and not bounds[0] <= kafka.session_timeout_ms <= bounds[1]:
        what = f"kafka.session_timeout_ms = {kafka.session_timeout_ms}, the broker takes {bounds[0]} to {bounds[1]}"
        yield Finding("group", "fail", what, "set kafka.session_timeout_ms to that")


# -- clocks --------------------------------------------------------------------------------------------------------------


async def _clock(settings: Settings, seen: Seen, admin: Any, write: bool) -> AsyncIterator[Finding]:
    from aiokafka.errors import KafkaError

    if write:
        try:
            skew, about = await _compared(settings, admin)
        except (KafkaError, OSError, TimeoutError) as error:
            what = f"not compared: {type(error).__name__}"
            yield Finding("clock", "warn", what, "--write needs the right to CREATE, WRITE and DELETE a topic sluice-doctor-…")
            return
        if abs(skew) > _SKEW_SECONDS + about:
            what = f"the broker's is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} ours"
            yield Finding("clock", "warn", what, "ages and latencies are off by as much: see the time service of both")
        else:
            yield Finding("clock", "ok", f"within {max(abs(skew), about):.2f} s of the broker's")
        return
    newest = await _newest(settings, seen)
    if newest is None:
        yield Finding("clock", "ok", "nothing to compare with; --write asks the broker")
    elif newest > time.time() + _AHEAD_SECONDS:
        what = f"the newest record is of {newest - time.time():.0f} s from now"
        yield Finding("clock", "warn", what, "a clock is wrong, a producer's or ours; --write asks the broker")
    else:
        yield Finding("clock", "ok", "no record is of a time to come")


async def _compared(settings: Settings, admin: Any) -> tuple[float, float]:
    """How far the broker's clock is ahead of ours, and how exact that is, both in seconds."""
    from aiokafka import AIOKafkaProducer
    from aiokafka.admin import NewTopic
    from aiokafka.errors import for_code

    from service.consume import access

    name = f"sluice-doctor-{secrets.token_hex(6)}"
    config = {"message.timestamp.type": "LogAppendTime", "retention.ms": "60000"}
    answer = await admin.create_topics([NewTopic(name, 1, 1, topic_configs=config)])
    for _, code, *_ in answer.topic_errors:
        if code:
            raise for_code(code)
    producer = AIOKafkaProducer(**access.connection(settings), enable_idempotence=False, linger_ms=0)
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await producer.start()
            best = (0.0, math.inf)
            for _ in range(4):  # the first pays for the connection
                sent = time.time()
                told = await producer.send_and_wait(name, b"what time is it?")
                came = time.time()
                best = min(best, (told.timestamp / 1000 - (sent + came) / 2, (came - sent) / 2), key=lambda pair: pair[1])
        return best
    finally:
        await producer.stop()
        await admin.delete_topics([name])


async def _newest(settings: Settings, seen: Seen) -> float | None:
    """When the newest record of the events was made, seconds since 1970; None if there is none."""
    from aiokafka import AIOKafkaConsumer, TopicPartition

    from service.consume import access

    partitions = [
        TopicPartition(name, number)
        for name in settings.consume.topics
        if (topic := seen.topics.get(name)) is not None and topic.exists and (topic.may is None or "READ" in topic.may)
        for number in range(topic.partitions)
    ][:64]
    if not partitions or settings.consume.topic_pattern:
        return None
    consumer = AIOKafkaConsumer(**access.connection(settings), enable_auto_commit=False, fetch_max_wait_ms=200)
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await consumer.start()
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            for tp in partitions:
                consumer.seek(tp, max(0, ends[tp] - 1))
            fetched = await consumer.getmany(timeout_ms=1000)
    finally:
        await consumer.stop()
    stamps = [record.timestamp / 1000 for records in fetched.values() for record in records if record.timestamp > 0]
    return max(stamps, default=None)
