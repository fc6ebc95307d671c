"""Alerts and dead letters that are larger than their topics take, alone or together."""

import gzip
import json
from typing import Any

import pytest

from tests.integration.faults import admin
from tests.integration.faults.conftest import OpenStream, Single
from tests.integration.faults.stream import Place, Stream

pytestmark = pytest.mark.integration


async def small(single: Single, open_stream: OpenStream, delivery: str, most: int) -> Stream:
    """A stream whose topic of alerts takes batches of so many bytes."""
    stream = await open_stream(single.address, topics=False, delivery=delivery)
    await admin.create_topic(single.address, stream.events)
    await admin.create_topic(single.address, stream.letters)
    await admin.create_topic(single.address, stream.alerts, max_message_bytes=str(most))
    return stream


def origins(letters: list[Any]) -> list[Place]:
    found = []
    for letter in letters:
        said = {name: (value or b"").decode() for name, value in letter.headers}
        assert (said["sluice.reason"], said["sluice.payload"]) == ("alert_rejected", "left out: too large")
        found.append((said["sluice.topic"], int(said["sluice.partition"]), int(said["sluice.offset"])))
    return found


async def test_alerts_that_are_too_large_together_go_one_by_one(single: Single, open_stream: OpenStream, delivery: str) -> None:
    stream = await small(single, open_stream, delivery, 5_000)
    await stream.produce(4_000)  # hundreds of alerts at once
    worker = await stream.worker().ready()
    stream.feed()
    await stream.until_found(50)
    await stream.reckon()
    assert not stream.shortened
    assert not await stream.dead_letters(1, seconds=2.0)
    assert worker.running


async def test_alerts_that_are_too_large_alone_are_shortened(single: Single, open_stream: OpenStream, delivery: str) -> None:
    stream = await small(single, open_stream, delivery, 5_000)
    worker = await stream.worker().ready()
    stream.feed()
    long = []
    for _ in range(30):
        secret = stream.draw_secret()
        told = {"path": "a" * 5_000, "url": "b" * 100_000, "author": {"name": "c" * 5_000}, "content": f"key={secret}"}
        long.append(await stream.plant(secret, json.dumps({"type": "code", **told}).encode()))
    await stream.reckon()
    assert stream.shortened == set(long)
    assert not await stream.dead_letters(1, seconds=2.0)
    assert worker.running


async def test_alerts_that_are_too_large_even_shortened_are_dead_lettered(
    single: Single, open_stream: OpenStream, delivery: str
) -> None:
    stream = await small(single, open_stream, delivery, 500)
    worker = await stream.worker().ready()
    await stream.produce(2_000)
    letters = origins(await stream.dead_letters(len(stream.planted)))
    assert set(letters) == set(stream.planted)
    if delivery == "exactly_once":
        assert len(letters) == len(stream.planted)
    assert not stream.found
    assert worker.running


async def test_a_dead_letter_that_is_too_large_keeps_its_place(single: Single, open_stream: OpenStream, delivery: str) -> None:
    stream = await open_stream(single.address, topics=False, delivery=delivery)
    await admin.create_topic(single.address, stream.events)
    await admin.create_topic(single.address, stream.alerts)
    await admin.create_topic(single.address, stream.letters, max_message_bytes="10000")
    worker = await stream.worker().ready()
    bomb = gzip.compress(b"\0" * 200_000_000)
    assert len(bomb) > 100_000
    keyless = await stream.send_one(bomb)
    keyed = await stream.send_one(bomb, key=b"short")
    heavy = await stream.send_one(bomb, key=b"k" * 20_000, headers=[("h", b"v" * 20_000)])
    letters = {}
    for letter in await stream.dead_letters(3):
        said = {name: (value or b"").decode() for name, value in letter.headers}
        assert (said["sluice.reason"], said["sluice.payload"]) == ("decompression_limit", "left out: too large")
        assert not letter.value
        letters[said["sluice.topic"], int(said["sluice.partition"]), int(said["sluice.offset"])] = letter.key
    assert letters == {keyless: None, keyed: b"short", heavy: None}
    stream.feed()
    await stream.until_found(20)
    await stream.reckon()
    assert worker.running
