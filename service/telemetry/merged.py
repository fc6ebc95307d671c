"""The metrics of several processes as one exposition that stays right when processes come and go.

Counters and histograms are added up; what a process that has ended had counted stays in the sum, since a counter that falls
looks like a restart to Prometheus and would be counted twice. Gauges follow their declaration. What is not declared by us,
such as ``process_…``, keeps the process apart by a label.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from service.telemetry.metrics import DECLARED, Merge

LABEL: Final = "worker"
_Key = tuple[str, tuple[tuple[str, str], ...]]
"""A sample's name and labels."""


class _Family:
    def __init__(self, kind: str, meaning: str, merge: Merge) -> None:
        self.kind = kind
        self.meaning = meaning
        self.merge: Final = merge
        self.samples: dict[_Key, float] = {}

    def add(self, name: str, labels: dict[str, str], value: float, worker: str) -> None:
        if self.merge == "worker" and LABEL not in labels:
            labels = {**labels, LABEL: worker}
        key = (name, tuple(labels.items()))
        former = self.samples.get(key)
        if former is None or self.merge == "worker":
            self.samples[key] = value
        else:
            self.samples[key] = former + value if self.merge == "sum" else max(former, value)


def _merge_of(name: str, kind: str) -> Merge:
    for full in (name, f"{name}_total", f"{name}_info", name.removesuffix("_info") + "_info"):
        if (declared := DECLARED.get(full)) is not None:
            if full.endswith("_info"):
                return "max"
            return "sum" if kind in ("counter", "histogram") else declared.merge
    return "worker"


class Merged:
    """Adds up expositions."""

    def __init__(self) -> None:
        self._ended: dict[str, _Family] = {}

    def retire(self, exposition: bytes) -> None:
        """A process has ended; this is the last that it told. What it counted stays."""
        for family, name, labels, value in _samples(exposition, self._ended, sums_alone=True):
            family.add(name, labels, value, "")

    def expose(self, expositions: Iterable[tuple[str, bytes]]) -> bytes:
        """One exposition of all, with what ended processes had counted.

        Args:
            expositions: each with the number of its process; those of a process that holds others' as well have "".
        """
        families: dict[str, _Family] = {}
        for name, ended in self._ended.items():
            families[name] = _Family(ended.kind, ended.meaning, ended.merge)
            families[name].samples = dict(ended.samples)
        for worker, text in expositions:
            for family, sample, labels, value in _samples(text, families):
                family.add(sample, labels, value, worker)
        return generate_latest(_Registry(families))


def _samples(
    exposition: bytes, families: dict[str, _Family], sums_alone: bool = False
) -> Iterator[tuple[_Family, str, dict[str, str], float]]:
    for parsed in text_string_to_metric_families(exposition.decode()):
        merge = _merge_of(parsed.name, parsed.type)
        if sums_alone and (merge != "sum" or parsed.type not in ("counter", "histogram")):
            continue
        family = families.get(parsed.name)
        if family is None:
            family = families[parsed.name] = _Family(parsed.type, parsed.documentation, merge)
        for sample in parsed.samples:
            yield family, sample.name, sample.labels, sample.value


class _Registry:
    def __init__(self, families: dict[str, _Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for name, family in self._families.items():
            metric = Metric(name, family.meaning, family.kind)
            for (sample, labels), value in family.samples.items():
                metric.add_sample(sample, dict(labels), value)
            yield metric
