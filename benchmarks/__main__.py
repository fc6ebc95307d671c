"""Prints the figures: ``python -m benchmarks [scan|checks|service|latency|storm|detectors|calibration|soak …]``.

Without arguments all of them but the soak, which takes long.

Ratios within one run carry over to another machine; absolute figures do not.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import calibration, checks_cost, detector_cost, latency, scan_rate, second_worker, service_cpu, soak, storm


def _machine() -> str:
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as info:
            model = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), model)
    except OSError:
        pass
    return f"{model}, CPython {platform.python_version()}"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        cells = (
            cell.ljust(width) if not at else cell.rjust(width) for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  " + "   ".join(cells))
    print()


def _scan(quick: bool) -> None:
    print("Scan rate on one core, MB/s of CPU time")
    sizes = (scan_rate.WHOLE, 1024) if quick else scan_rate.SIZES
    rows = scan_rate.measure(2 if quick else 5, sizes)
    named = {scan_rate.WHOLE: "whole", 4096: "4 KB", 1024: "1 KB", 300: "0.3 KB"}
    _table(
        ("corpus", "records", "bare engine", "hits", "hits, extracted, judged", "findings"),
        [(r.corpus, named[r.size], f"{r.bare:.0f}", f"{r.hits:.0f}", f"{r.whole:.0f}", str(r.findings)) for r in rows],
    )


def _checks(quick: bool) -> None:
    print("All checks, an allow-list, rules and the audit on clean traffic of 1 KB records, MB/s of CPU time")
    rows = checks_cost.measure(3 if quick else 7, 8 * 1024 * 1024 if quick else 32 * 1024 * 1024)
    _table(
        ("corpus", "records", "in which something hits", "first pass alone", "not judged", "everything on", "of not judged"),
        [
            (
                row.corpus,
                f"{row.records:,}",
                f"{100 * row.hit / row.records:.2f} %",
                f"{row.first_pass:.0f}",
                f"{row.unjudged:.0f}",
                f"{row.everything:.0f}",
                f"{100 * row.everything / row.unjudged:.1f} %",
            )
            for row in rows
        ],
    )


def _service(quick: bool) -> None:
    print("CPU per record, µs: the service beside bare consumers of the same topic")
    rows = service_cpu.measure((1024,), 300, 1) if quick else service_cpu.measure()
    _table(
        ("record", "bare, untuned", "bare, tuned", "sluice run", "of untuned", "of tuned"),
        [
            (
                f"{row.size} B",
                f"{row.untuned:.2f}",
                f"{row.tuned:.2f}",
                f"{row.sluice:.2f}",
                f"{row.sluice / row.untuned:.2f}",
                f"{row.sluice / row.tuned:.2f}",
            )
            for row in rows
        ],
    )
    print(f"  on {rows[0].broker}, {service_cpu.PARTITIONS} partitions, no compression\n")


def _latency(quick: bool) -> None:
    rate = 5_000 if quick else 20_000
    print(f"From a record produced to its alert readable, ms, beside {rate:,} clean records of 1 KB a second")
    _table(
        ("way", "leaks", "a bare hop, median", "median", "99 %", "worst", "of a core"),
        [
            (
                row.way,
                str(row.leaks),
                f"{row.hop:.1f}",
                f"{row.p50:.1f}",
                f"{row.p99:.1f}",
                f"{row.worst:.1f}",
                f"{100 * row.cpu:.0f} %",
            )
            for row in latency.measure(rate, 10.0 if quick else 30.0)
        ],
    )


def _storm(count: int, ways: Sequence[str]) -> None:
    print("One token again and again, over four workers that are restarted twice")
    rows = [storm.measure(count, delivery=way) for way in ways]
    _table(
        ("records", "secrets alerted", "alerts and updates", "occurrences told", "seconds", "memory, first fifth", "last"),
        [
            (
                f"{row.records:,}",
                str(row.firsts),
                str(row.alerts),
                f"{row.occurrences:,}",
                f"{row.seconds:.0f}",
                f"{row.memory_early:.0f} MB",
                f"{row.memory_late:.0f} MB",
            )
            for row in rows
        ],
    )


def _detectors(quick: bool) -> None:
    print("Detectors whose removal makes scanning faster, share of the scan time")
    rows = detector_cost.measure(groups=4 if quick else None)
    _table(
        ("detector", "source", "logs"),
        [(row.detector, f"{100 * row.source:.1f} %", f"{100 * row.logs:.1f} %") for row in rows[:20]]
        or [("none above noise", "", "")],
    )


def _workers(quick: bool) -> None:
    print("What a second worker is worth, of one topic")
    rows = second_worker.measure(2000, 1) if quick else second_worker.measure()
    one = rows[0]
    _table(
        ("workers", "records/s", "of one", "CPU, µs a record", "of CPU", "cores, service", "cores, broker"),
        [
            (
                str(row.workers),
                f"{row.rate:,.0f}",
                f"{row.rate / one.rate:.2f}",
                f"{row.cpu:.2f}",
                f"{row.workers * one.cpu / row.cpu:.2f}",
                f"{row.busy:.2f}",
                f"{row.broker:.2f}",
            )
            for row in rows
        ],
    )
    cores = os.cpu_count() or 1
    busy = rows[-1].busy + rows[-1].broker
    limit = "the cores are the limit" if busy > 0.9 * cores else "the cores are not the limit: it waits for the broker"
    parts = second_worker.PARTITIONS
    print(f"  on Apache Kafka, {parts} partitions; with two workers {busy:.1f} of {cores} cores are busy, the broker's among")
    print(f"  them: {limit}\n")


def _calibration(quick: bool, cases: Path | None = None, plot: Path | None = None) -> None:
    print(f"Reliability of each confidence, on {cases or 'generated cases'}")
    result = calibration.run(cases)
    _table(
        ("confidence", "evidence", "findings", "right", "19 times in 20", "stands for", ""),
        [
            (
                row.confidence.value,
                row.evidence,
                f"{row.right + row.wrong:,}",
                f"{100 * row.precision:.1f} %",
                "{:.0f} to {:.0f} %".format(*(100 * share for share in row.interval)),
                "{:.0f} to {:.0f} %".format(*(100 * share for share in calibration.BANDS[row.confidence])),
                ("█" * round(20 * row.precision)).ljust(20, "·"),
            )
            for row in result.rows
        ],
    )
    for confidence, number in sorted(result.found.items(), key=lambda item: -item[0].rank):
        share = 100 * number / max(1, result.positives)
        print(f"  with {confidence.value} or more: {number:,} of {result.positives:,} positive cases found, {share:.1f} %")
    if plot:
        plot.write_text(calibration.svg(result), "utf-8")
        print(f"  plot in {plot}")
    print()


def _soak(count: int, delivery: str) -> None:
    print(f"One worker, {count:,} records of {soak.RECORD_BYTES} B, {delivery.replace('_', ' ')}")
    done = soak.measure(count, delivery)
    _table(
        (
            "records",
            "seconds",
            "records/s",
            "MB, first minute",
            "MB, last minute",
            "ratio",
            "most",
            "leaks",
            "found",
            "repeated",
        ),
        [
            (
                f"{done.records:,}",
                f"{done.seconds:.0f}",
                f"{done.records / done.seconds:,.0f}",
                f"{done.first:.0f}",
                f"{done.last:.0f}",
                f"{done.ratio:.2f}",
                f"{done.most:.0f}",
                f"{done.planted:,}",
                f"{done.found:,}",
                f"{done.repeated:,}",
            )
        ],
    )
    print(f"  memory  {soak.sparkline([sample.memory for sample in done.samples])}")
    rates = [(b.records - a.records) / (b.at - a.at) for a, b in zip(done.samples, done.samples[1:], strict=False)]
    print(f"  rate    {soak.sparkline(rates)}\n")


PARTS = {
    "scan": _scan,
    "checks": _checks,
    "service": _service,
    "latency": _latency,
    "workers": _workers,
    "detectors": _detectors,
    "calibration": _calibration,
}


def main() -> int:
    """Runs the parts that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}, storm, soak")
    parser.add_argument("--cases", type=Path, metavar="FILE", help="calibration: labelled cases, a JSON object a line")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="calibration: also draw the diagram, as SVG")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and sizes")
    parser.add_argument("--records", type=int, help="of the soak (default 10,000,000) or the storm (default 1,000,000)")
    parser.add_argument(
        "--delivery", choices=("at_least_once", "exactly_once"), help="of the soak (default at least once) or the storm"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - {*PARTS, "storm", "soak"}:
        parser.error(f"there is no part {min(unknown)!r}; one of {', '.join(PARTS)}, storm, soak expected")
    print(f"{_machine()}\n")
    for name in arguments.parts or (*PARTS, "storm"):
        began = time.monotonic()
        if name == "calibration":
            _calibration(arguments.quick, arguments.cases, arguments.plot)
        elif name == "soak":
            _soak(arguments.records or (500_000 if arguments.quick else 10_000_000), arguments.delivery or "at_least_once")
        elif name == "storm":
            ways = (arguments.delivery,) if arguments.delivery else ("at_least_once", "exactly_once")
            _storm(arguments.records or (100_000 if arguments.quick else 1_000_000), ways)
        else:
            PARTS[name](arguments.quick)
        print(f"  ({name}: {time.monotonic() - began:.0f} s)\n", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
