"""Several processes as one exposition, while they come and go."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.telemetry.merged import Merged
from service.telemetry.metrics import Metrics


def told(metrics: Metrics) -> bytes:
    return asyncio.run(metrics.expose())


def samples(exposition: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(exposition.decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


@pytest.fixture
def workers() -> tuple[Metrics, Metrics]:
    first, second = Metrics(), Metrics()
    for number, metrics in enumerate((first, second)):
        metrics.count("sluice_consume_records_total", 10 + number, topic="a")
        metrics.observe("sluice_detect_seconds", 0.002)
        metrics.set("sluice_consume_in_flight_deliveries", 3 + number)
        metrics.set("sluice_consume_oldest_record_age_seconds", 5.0 - number)
        metrics.set("sluice_consume_assigned_partitions", 2)
        metrics.set("sluice_consume_lag_records", 7 + number, topic="a", partition=str(number))
        metrics.inform("sluice_build_info", version="1")
    return first, second


def merge(merged: Merged, *workers: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return samples(merged.expose((str(number), told(worker)) for number, worker in enumerate(workers)))


def test_counters_and_histograms_are_added_up(workers: tuple[Metrics, Metrics]) -> None:
    found = merge(Merged(), *workers)

    assert found["sluice_consume_records_total", (("topic", "a"),)] == 21
    assert found["sluice_detect_seconds_count", ()] == 2
    assert found["sluice_detect_seconds_sum", ()] == pytest.approx(0.004)
    assert found["sluice_detect_seconds_bucket", (("le", "0.0025"),)] == 2
    assert found["sluice_detect_seconds_bucket", (("le", "+Inf"),)] == 2


def test_gauges_follow_their_declaration(workers: tuple[Metrics, Metrics]) -> None:
    found = merge(Merged(), *workers)

    assert found["sluice_consume_in_flight_deliveries", ()] == 7
    assert found["sluice_consume_oldest_record_age_seconds", ()] == 5.0
    assert found["sluice_consume_assigned_partitions", (("worker", "0"),)] == 2
    assert found["sluice_consume_assigned_partitions", (("worker", "1"),)] == 2
    assert found["sluice_consume_lag_records", (("partition", "1"), ("topic", "a"))] == 8
    assert found["sluice_build_info", (("version", "1"),)] == 1


def test_what_is_not_ours_is_told_apart(workers: tuple[Metrics, Metrics]) -> None:
    found = merge(Merged(), *workers)

    assert found["process_open_fds", (("worker", "0"),)] > 0
    assert found["process_open_fds", (("worker", "1"),)] > 0


def test_what_an_ended_process_counted_stays_and_the_rest_goes(workers: tuple[Metrics, Metrics]) -> None:
    first, second = workers
    merged = Merged()
    before = merge(merged, first, second)

    merged.retire(told(first))
    alone = samples(merged.expose([("1", told(second))]))
    fresh = Metrics()
    fresh.count("sluice_consume_records_total", 4, topic="a")
    after = samples(merged.expose([("0", told(fresh)), ("1", told(second))]))

    records = ("sluice_consume_records_total", (("topic", "a"),))
    assert (before[records], alone[records], after[records]) == (21, 21, 25)
    assert after["sluice_detect_seconds_count", ()] == 2
    assert ("sluice_consume_lag_records", (("partition", "0"), ("topic", "a"))) not in alone
    assert alone["sluice_consume_in_flight_deliveries", ()] == 4
    assert ("process_open_fds", (("worker", "0"),)) not in alone


def test_several_ends_add_up(workers: tuple[Metrics, Metrics]) -> None:
    merged = Merged()
    for worker in workers:
        merged.retire(told(worker))

    found = samples(merged.expose([]))

    assert found["sluice_consume_records_total", (("topic", "a"),)] == 21
    assert found["sluice_detect_seconds_bucket", (("le", "+Inf"),)] == 2


def test_labels_survive_whatever_they_hold() -> None:
    metrics = Metrics()
    topic = 'a "quoted"\\path\nand ä'
    metrics.count("sluice_consume_records_total", topic=topic)

    found = merge(Merged(), metrics, metrics)

    assert found["sluice_consume_records_total", (("topic", topic),)] == 2


def test_nothing_told_yet_is_nothing() -> None:
    assert samples(Merged().expose([("0", b"")])) == {}
