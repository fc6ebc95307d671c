"""The metrics: each explained, each named by the conventions, all of them readable by Prometheus."""

import re

import msgspec
import pytest
from prometheus_client import Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from service.settings import Settings
from service.telemetry.metrics import DECLARED, Metrics

STAGES = ("consume", "decode", "detect", "judge", "probe", "publish", "telemetry")
HARMLESS_LABELS = {
    "queue",
    *("topic", "partition", "envelope", "detector", "provider", "confidence", "severity", "validity", "reason", "sink"),
    *("error", "outcome", "worker", "cause", "entry"),
}
"""Labels whose values the broker, the catalogue, the operator's files or a closed list of ours bounds."""
NOT_BASE_UNITS = re.compile(r"_(?:ms|millis\w*|micros\w*|minutes|hours|kb|kilobytes|mb|megabytes|percent)(?:_|$)")
NAMES = sorted(DECLARED)


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_means_and_what_to_do(name: str) -> None:
    assert DECLARED[name].meaning.endswith(".")
    assert DECLARED[name].remedy.endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_it_is_named_by_the_conventions(name: str) -> None:
    kind = DECLARED[name].kind

    assert re.fullmatch(r"sluice(?:_[a-z]+)+", name)
    assert (kind is Counter) == name.endswith("_total")
    assert (kind is Info) == name.endswith("_info")
    assert kind is Info or name.split("_")[1] in STAGES
    assert not NOT_BASE_UNITS.search(name)
    assert kind is not Histogram or name.endswith(("_seconds", "_bytes"))


@pytest.mark.parametrize("name", NAMES)
def test_its_labels_are_none_that_traffic_can_multiply(name: str) -> None:
    assert set(DECLARED[name].labels) <= HARMLESS_LABELS


@pytest.mark.parametrize("name", NAMES)
def test_settings_and_metrics_that_its_remedy_names_exist(name: str) -> None:
    settings = msgspec.to_builtins(Settings())

    for section, key in re.findall(r"\b([a-z_]+)\.([a-z_]+)\b", DECLARED[name].remedy):
        assert key in settings.get(section, {}), f"{section}.{key}"
    for other in re.findall(r"\bsluice_[a-z_]+\b", DECLARED[name].remedy):
        assert other in DECLARED


@pytest.mark.parametrize("name", [name for name in NAMES if DECLARED[name].kind is Histogram])
def test_a_histograms_buckets_rise(name: str) -> None:
    buckets = DECLARED[name].buckets

    assert list(buckets) == sorted(set(buckets))


def touched() -> Metrics:
    """Metrics of which every one has a sample."""
    metrics = Metrics()
    for name, declared in DECLARED.items():
        labels = dict.fromkeys(declared.labels, 'a "quoted" \\ value\n')
        if declared.kind is Counter:
            metrics.count(name, 2, **labels)
        elif declared.kind is Gauge:
            metrics.set(name, 1.5, **labels)
        elif declared.kind is Histogram:
            metrics.observe(name, 0.02)
        else:
            metrics.inform(name, version="1.0")
    return metrics


def test_the_exposition_is_read_by_prometheus_with_every_metric_and_its_meaning() -> None:
    exposition = generate_latest(touched().registry).decode()

    families = {family.name: family for family in text_string_to_metric_families(exposition)}
    for name, declared in DECLARED.items():
        # what the parser calls a family leaves off the ending of a counter
        family = families[name.removesuffix("_total")]
        assert family.documentation == declared.meaning
        assert family.samples
        for sample in family.samples:
            assert sample.name.startswith(name.removesuffix("_total"))
            assert set(declared.labels) <= set(sample.labels)


def test_counters_add_and_gauges_are_set() -> None:
    metrics = Metrics()
    for _ in range(2):
        metrics.count("sluice_consume_records_total", 3, topic="a")
        metrics.set("sluice_consume_lag_records", 5, topic="a", partition="0")

    assert metrics.value("sluice_consume_records_total", topic="a") == 6
    assert metrics.value("sluice_consume_lag_records", topic="a", partition="0") == 5
    assert metrics.value("sluice_consume_records_total", topic="never") == 0


def test_the_lag_of_revoked_partitions_is_dropped() -> None:
    metrics = Metrics()
    metrics.set("sluice_consume_lag_records", 5, topic="a", partition="0")

    metrics.set("sluice_consume_lag_records", 5, topic="b", partition="1")

    metrics.forget_lag({"a"})

    assert b'partition="0"' not in generate_latest(metrics.registry)
    assert metrics.value("sluice_consume_lag_records", topic="b", partition="1") == 5


def test_two_sets_of_metrics_do_not_meet() -> None:
    one, other = Metrics(), Metrics()
    one.count("sluice_detect_bytes_total", 7)

    assert other.value("sluice_detect_bytes_total") == 0


@pytest.mark.parametrize(
    ("name", "labels"),
    [("sluice_no_such_total", {}), ("sluice_consume_records_total", {"colour": "red"}), ("sluice_consume_records_total", {})],
)
def test_what_is_not_declared_cannot_be_counted(name: str, labels: dict[str, str]) -> None:
    with pytest.raises((KeyError, ValueError)):
        Metrics().count(name, 1, **labels)
