"""Every metric, declared once: its name, kind, labels, what it means and what to do when it grows.

Stages count through :class:`Metrics` and per batch, never per record. No label takes values that traffic can multiply:
topics and partitions are the broker's, detectors the catalogue's, reasons and sinks closed lists of ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics import MetricWrapperBase

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


Merge = Literal["sum", "max", "worker"]
"""Added up; the greatest; one for each, told apart by a label."""


class Declared(NamedTuple):
    """A metric's declaration. ``remedy`` says what to do when it grows."""

    kind: type[MetricWrapperBase]
    meaning: str
    remedy: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    merge: Merge = "worker"
    """How the gauges of several workers become one; counters and histograms are added up."""


DECLARED: Final[dict[str, Declared]] = {
    "sluice_consume_records_total": Declared(Counter, "Records taken from Kafka.", "Nothing: it is the work.", ("topic",)),
    "sluice_consume_bytes_total": Declared(Counter, "Bytes of records, unpacked.", "Nothing: it is the work.", ("topic",)),
    "sluice_consume_lag_records": Declared(
        Gauge,
        "Records behind the end of the partition.",
        "Add workers, up to the number of partitions.",
        ("topic", "partition"),
        merge="max",
    ),
    "sluice_consume_oldest_record_age_seconds": Declared(
        Gauge,
        "Age of the oldest record not yet processed, 0 if none waits.",
        "As for lag; look at sink failures first.",
        merge="max",
    ),
    "sluice_consume_in_flight_deliveries": Declared(
        Gauge, "Alerts handed to sinks and not yet acknowledged.", "A sink is slow: see its failures.", merge="sum"
    ),
    "sluice_consume_fetched_bytes": Declared(
        Gauge,
        "Bytes fetched and not yet taken, packed as they came: of records, or of our own sightings.",
        "Bounded by consume.max_fetched_bytes. Near it all the time: scanning is behind, add workers.",
        ("queue",),
        merge="sum",
    ),
    "sluice_consume_partition_fetch_bytes": Declared(
        Gauge,
        "What is fetched of a partition at once.",
        "When it falls below consume.max_partition_fetch_bytes: sinks are behind, or many partitions share the room.",
    ),
    "sluice_publish_waiting": Declared(
        Gauge,
        "Made and not yet acknowledged by the broker: sightings (alerts, where repeats are not suppressed), or alerts.",
        "Above consume.max_in_flight nothing is fetched: see sluice_publish_failures_total, then the broker.",
        ("queue",),
        merge="sum",
    ),
    "sluice_consume_paused_seconds_total": Declared(
        Counter,
        "Time in which nothing was fetched because sinks were behind.",
        "Make the sinks faster or raise consume.max_in_flight.",
    ),
    "sluice_consume_rebalances_total": Declared(
        Counter, "Assignments given or taken.", "Set kafka.group_instance_id; look for workers that restart."
    ),
    "sluice_consume_assigned_partitions": Declared(
        Gauge, "Partitions assigned to this worker.", "0 for long: more workers than partitions."
    ),
    "sluice_consume_errors_total": Declared(
        Counter,
        "Errors of the broker while consuming; each is tried again.",
        "See the log for the error's name.",
        ("error",),
    ),
    "sluice_consume_last_commit_timestamp_seconds": Declared(
        Gauge, "When offsets were last committed.", "If it stands still while records come in, a delivery hangs."
    ),
    "sluice_decode_events_total": Declared(
        Counter, "Events decoded from records in which something hit.", "Nothing.", ("envelope",)
    ),
    "sluice_detect_seconds": Declared(
        Histogram,
        "Time to scan one fetch, hits and candidates included.",
        "Fetch less at once, or see hits.",
        (),
        SECONDS,
    ),
    "sluice_detect_bytes_total": Declared(Counter, "Bytes scanned on the wire.", "Nothing: it is the work."),
    "sluice_detect_hit_records_total": Declared(
        Counter,
        "Records decoded because something hit.",
        "Above 3 % of all: find the noisy detector with `sluice tune`.",
    ),
    "sluice_detect_candidates_total": Declared(
        Counter, "Candidates cut out of decoded text.", "See sluice_judge_dropped_total for what became of them."
    ),
    "sluice_judge_findings_total": Declared(
        Counter,
        "Findings by detector and confidence.",
        "Look at the alerts; a noisy detector can be disabled.",
        ("detector", "confidence"),
    ),
    "sluice_judge_dropped_total": Declared(Counter, "Candidates that are not reported, by reason.", "Nothing.", ("reason",)),
    "sluice_probe_results_total": Declared(
        Counter,
        "Answers to whether a secret is live, by provider.",
        "Active ones are urgent: read their alerts.",
        ("provider", "validity"),
    ),
    "sluice_probe_unknown_total": Declared(
        Counter,
        "Live checks that could not tell, by reason.",
        "control_failed: the check is wrong; companion_missing, endpoint_unset: see the settings; others: the network.",
        ("reason",),
    ),
    "sluice_probe_skipped_total": Declared(
        Counter,
        "Findings that are not asked about, by reason.",
        "queue_full: raise probe.rate_per_provider or probe.concurrency.",
        ("reason",),
    ),
    "sluice_probe_requests_total": Declared(
        Counter, "Requests to providers, by what became of them.", "See the reason; try `sluice check`.", ("outcome",)
    ),
    "sluice_probe_controls_total": Declared(
        Counter,
        "Made-up secrets that were sent to see them refused.",
        "accepted: the provider says yes to everything, its check is wrong.",
        ("outcome",),
    ),
    "sluice_probe_waiting": Declared(
        Gauge, "Findings that wait to be asked about.", "Near probe.max_waiting: a provider is slow, or the rate is too low."
    ),
    "sluice_probe_breakers_open": Declared(
        Gauge, "Providers that are left alone because they are down.", "Look at the way out: proxy, firewall, DNS."
    ),
    "sluice_probe_seconds": Declared(
        Histogram, "Time of one live check, its repeats and its control included.", "See requests by outcome.", (), SECONDS
    ),
    "sluice_publish_alerts_total": Declared(Counter, "Alerts a sink acknowledged.", "Leaks: read them.", ("sink", "severity")),
    "sluice_publish_failures_total": Declared(
        Counter,
        "Deliveries that failed and are tried again or dead-lettered.",
        "Check the sink and its rights.",
        ("sink", "reason"),
    ),
    "sluice_consume_dead_records_total": Declared(
        Counter,
        "Records sent to the dead letters, by reason.",
        "Read the reason headers; replay when mended.",
        ("reason",),
    ),
    "sluice_publish_end_to_end_seconds": Declared(
        Histogram,
        "From a record's timestamp to its alert's acknowledgement.",
        "See lag, then sink failures.",
        (),
        SECONDS,
    ),
    "sluice_detect_reloads_total": Declared(
        Counter,
        "Changed detectors, rules and allow-lists taken in, or refused.",
        "Refused: see the log for the file and the key that is wrong.",
        ("outcome",),
    ),
    "sluice_publish_secrets": Declared(
        Gauge,
        "Secrets of which this worker is the owner.",
        "Near repeats.most_secrets, all workers together: raise it.",
        merge="sum",
    ),
    "sluice_judge_allow_fired_total": Declared(
        Counter,
        "Findings that an entry of an allow-list let pass; 0 from the start for each, so that those that never do are seen.",
        "Look at the entry: it may let pass more than it was made for.",
        ("entry",),
    ),
    "sluice_judge_allow_last_fired_timestamp_seconds": Declared(
        Gauge,
        "When an entry of an allow-list last let something pass, 0 if never since the start.",
        "Old or 0: the entry is hardly needed any more.",
        ("entry",),
        merge="max",
    ),
    "sluice_publish_verdicts": Declared(
        Gauge, "People's verdicts that this worker obeys.", "Near verdicts.most: raise it, or take old ones back.", merge="max"
    ),
    "sluice_publish_verdicts_refused_total": Declared(
        Counter, "Records of the verdicts' topic that are no verdicts.", "See the log for partition, offset and what is wrong."
    ),
    "sluice_telemetry_worker_ready": Declared(
        Gauge,
        "1 while the worker is ready, 0 while it is not.",
        "0: see /readyz for the claim that fails, and the log's lines of this worker.",
        ("worker",),
    ),
    "sluice_telemetry_worker_starts_total": Declared(
        Counter,
        "Starts of a worker's process, by their cause.",
        "crash, hang: see the log; the worker is started again, after growing pauses.",
        ("worker", "cause"),
    ),
    "sluice_telemetry_settings_reloads_total": Declared(
        Counter,
        "Settings read again on SIGHUP, and taken in or refused.",
        "Refused: see the log for the key that is wrong; what was there before goes on.",
        ("outcome",),
    ),
    "sluice_build_info": Declared(Info, "Version of the service.", "Nothing."),
    "sluice_catalogue_info": Declared(Info, "Digest of the detectors, their number, the size of the database.", "Nothing."),
}

disable_created_metrics()  # type: ignore[no-untyped-call]  # a time for each series would double them


class Metrics:
    """The metrics of one process, with a registry of their own; those of the process itself (``process_…``) among them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._metrics: dict[str, MetricWrapperBase] = {}
        for name, declared in DECLARED.items():
            bare = name.removesuffix("_total").removesuffix("_info")
            arguments: dict[str, Any] = {"buckets": declared.buckets} if declared.buckets else {}
            self._metrics[name] = declared.kind(bare, declared.meaning, declared.labels, registry=self.registry, **arguments)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Adds to a counter."""
        metric = self._metrics[name]
        assert isinstance(metric, Counter)
        (metric.labels(**labels) if labels else metric).inc(amount)

    def set(self, name: str, value: float, **labels: str) -> None:
        """Sets a gauge."""
        metric = self._metrics[name]
        assert isinstance(metric, Gauge)
        (metric.labels(**labels) if labels else metric).set(value)

    def observe(self, name: str, value: float) -> None:
        """Puts a value into a histogram."""
        metric = self._metrics[name]
        assert isinstance(metric, Histogram)
        metric.observe(value)

    def inform(self, name: str, **labels: str) -> None:
        """States an ``_info`` metric."""
        metric = self._metrics[name]
        assert isinstance(metric, Info)
        metric.info(labels)

    def forget_lag(self, topics: Iterable[str]) -> None:
        """Partitions of these topics were revoked: their lag is no longer ours to tell."""
        metric = self._metrics["sluice_consume_lag_records"]
        gone = set(topics)
        for sample in next(iter(metric.collect())).samples:
            if sample.labels["topic"] in gone:
                metric.remove(sample.labels["topic"], sample.labels["partition"])

    async def expose(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self.registry)

    def value(self, name: str, **labels: str) -> float:
        """The present value of a counter or gauge, 0.0 where it was never touched."""
        found = self.registry.get_sample_value(name, labels)
        return 0.0 if found is None else found
