"""Made events: realistic envelopes, clean ones clean, and every planted leak found again."""

import json
import random
from collections import Counter
from functools import cache

import pytest

from service import app, proof
from service.decode import sniff
from service.inspection import Inspector, Tally
from service.records import Confidence, Detector, Record
from service.sources.generator import Generator, Made

LEAKING = ("github-personal-access-token", "gitlab-personal-access-token", "npm-access-token", "slack-bot-token")


@pytest.fixture(scope="module")
def inspector() -> Inspector:
    return app.inspector(app.load_database()[0], Confidence.medium)


@cache
def detectors() -> list[Detector]:
    return [detector for detector in app.load_database()[0].detectors if detector.id in LEAKING]


def make_secret(rng: random.Random) -> tuple[str, str]:
    """A line with a made-up secret, and the secret in place of its type's name, so that tests see what was planted."""
    secret = proof.secret_of(rng.choice(detectors()), rng).decode()
    return f"key={secret}", secret


def record_of(made: Made) -> Record:
    return Record(made.topic, 0, 0, -1, made.key, made.value)


@pytest.fixture(scope="module")
def leaking() -> list[Made]:
    return Generator(make_secret, leak_ratio=1.0, seed=5, pool=10).records(500)


def test_every_planted_secret_comes_back_as_often_as_it_was_planted(leaking: list[Made], inspector: Inspector) -> None:
    found: Counter[str] = Counter()
    for made in leaking:
        for item in inspector.record(record_of(made), Tally()):
            found[item.finding.candidate.secret.reveal().decode()] += item.occurrences

    planted = Counter(made.leak for made in leaking if made.leak)
    assert sum(planted.values()) > 200
    assert found == planted


def test_leaks_stand_plainly_in_base64_in_json_in_patches_and_in_several_lines(
    leaking: list[Made], inspector: Inspector
) -> None:
    found = [item for made in leaking for item in inspector.record(record_of(made), Tally())]

    assert {item.finding.candidate.encoding for item in found} == {None, "base64"}
    assert {item.location.field.split(".")[0] for item in found} >= {"content", "patch", "message", "log"}
    assert max(item.location.line or 0 for item in found) > 1


def test_clean_records_are_clean(inspector: Inspector) -> None:
    made = Generator(make_secret, leak_ratio=0.0, seed=6, pool=500).records(2000)

    assert {item.leak for item in made} == {None}
    assert [found for item in set(made) for found in inspector.record(record_of(item), Tally())] == []


def test_records_are_documents_of_known_envelopes() -> None:
    made = Generator(make_secret, leak_ratio=0.1, seed=7, pool=300).records(1000)

    names = {event.origin.envelope for item in made for event in sniff.decode(Record("t", 0, 0, -1, None, item.value))}
    assert names == {"native", "filebeat", "fluentbit", "vector", "otlp"}
    assert all(json.loads(item.value) for item in made)


@pytest.mark.parametrize(("ratio", "count"), [(0.001, 100_000), (0.02, 20_000), (0.5, 2_000), (1.0, 500)])
def test_leaks_come_about_as_often_as_asked_for(ratio: float, count: int) -> None:
    made = Generator(lambda rng: ("x", "leak"), leak_ratio=ratio, seed=8, pool=10).records(count)

    assert sum(item.leak is not None for item in made) / count == pytest.approx(ratio, rel=0.2)


def test_the_same_seed_gives_the_same_leaks_at_the_same_places() -> None:
    def leaks(seed: int) -> list[str | None]:
        return [made.leak for made in Generator(make_secret, leak_ratio=0.05, seed=seed, pool=20).records(400)]

    assert leaks(9) == leaks(9)
    assert leaks(9) != leaks(10)
