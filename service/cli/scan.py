"""Look for secrets in files, folders, or standard input.

  sluice scan .                                  a working tree, git-ignored and binary files left out
  git log -p | sluice scan -                     what flows
  sluice scan --format jsonl src | jq .detector  for programs
  sluice scan --format sarif . > leaks.sarif     for code scanning

Exit status: 0 nothing found, 1 something found, 2 the work could not be done.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from service.errors import ExitCode, SluiceError

HELP = "look for secrets in files, folders, or standard input"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("paths", nargs="*", default=["."], metavar="PATH", help="files, folders, or - for standard input")
    parser.add_argument("--format", choices=("text", "jsonl", "sarif"), default="text", help="how findings are printed")
    parser.add_argument("--reveal", action="store_true", help="print the secrets themselves")
    parser.add_argument(
        "--min-confidence", choices=("low", "medium", "high"), default="medium", help="what is shown (default medium)"
    )
    parser.add_argument(
        "--detectors", type=Path, action="append", default=[], metavar="DIR", help="a folder of further detectors"
    )
    parser.add_argument("--explain", action="store_true", help="say on standard error why candidates were dropped")


def run(arguments: argparse.Namespace) -> int:
    """Scans and prints."""
    from service import app
    from service.publish.fingerprint import Fingerprinter, personal_key
    from service.records import Confidence
    from service.sources import files, scanning

    loaded, _ = app.load_database(arguments.detectors)
    dropped = _explainer() if arguments.explain else None
    inspector = app.inspector(loaded, Confidence(arguments.min_confidence), on_dropped=dropped)
    configured = os.environ.get("SLUICE_FINGERPRINT__KEY")
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    key = configured.encode() if configured else personal_key(home / "sluice" / "fingerprint.key")
    skipped: list[files.Skipped] = []
    if "-" in arguments.paths:
        if len(arguments.paths) > 1:
            raise SluiceError("-: standard input cannot be named beside other paths")
        found: Iterator[scanning.FileFinding] = scanning.stream(sys.stdin.buffer, inspector)
    else:
        paths = list(files.listed(arguments.paths))
        found = scanning.scan(_with_progress(paths, arguments.format), inspector, skipped)
    report = _REPORTS[arguments.format](Fingerprinter(key), arguments.reveal, loaded)
    count = 0
    for finding in found:
        report.finding(finding)
        count += 1
    report.end(skipped)
    return ExitCode.findings if count else ExitCode.ok


def _explainer() -> Callable[[Any], None]:
    def explain(dropped: Any) -> None:
        print(f"dropped: {dropped.candidate.detector.id}: {dropped.reason}: {dropped.clause}", file=sys.stderr)

    return explain


def _with_progress(paths: list[str], style: str) -> Iterator[str]:
    """The paths, with a progress bar on a terminal."""
    if not sys.stderr.isatty() or len(paths) < 200:
        yield from paths
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(paths, description="scanning", console=Console(stderr=True), transient=True, update_period=0.2)


class _Report:
    def __init__(self, fingerprinter: Any, reveal: bool, loaded: Any) -> None:
        self._fingerprinter = fingerprinter
        self._reveal = reveal
        self._loaded = loaded

    def row(self, found: Any) -> dict[str, Any]:
        from service.publish.redact import redact

        finding = found.finding
        candidate = finding.candidate
        detector = candidate.detector
        raw = candidate.secret.reveal()
        shown = raw.decode("utf-8", "backslashreplace") if self._reveal else redact(candidate.secret, detector.prefix_of(raw))
        return {
            "detector": detector.id,
            "name": detector.name,
            "provider": detector.provider,
            "category": detector.category,
            "severity": finding.severity.value,
            "confidence": finding.confidence.value,
            "validity": finding.validity.value,
            "path": found.path,
            "line": found.line,
            "column": found.column,
            "start": candidate.place.start,
            "end": candidate.place.end,
            "secret": shown,
            "fingerprint": self._fingerprinter.secret(candidate.secret),
            "encoding": candidate.encoding,
            "checks": dict(finding.checks),
            "reasons": list(finding.reasons),
        }

    def finding(self, found: Any) -> None:
        raise NotImplementedError

    def end(self, skipped: list[Any]) -> None:
        """Prints what comes last."""


class _Lines(_Report):
    def finding(self, found: Any) -> None:
        import msgspec

        sys.stdout.buffer.write(msgspec.json.encode(self.row(found)) + b"\n")

    def end(self, skipped: list[Any]) -> None:
        sys.stdout.buffer.flush()


class _Text(_Report):
    count = 0

    def __init__(self, fingerprinter: Any, reveal: bool, loaded: Any) -> None:
        super().__init__(fingerprinter, reveal, loaded)
        self._colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def finding(self, found: Any) -> None:
        row = self.row(found)
        self.count += 1
        encoding = f"  in {row['encoding']}" if row["encoding"] else ""
        confidence = row["confidence"]
        if self._colour:
            paint = {"high": "\x1b[31m", "medium": "\x1b[33m", "low": "\x1b[2m"}[confidence]
            head = f"\x1b[1m{row['path']}:{row['line']}:{row['column']}\x1b[0m  {row['name']}  {paint}{confidence}\x1b[0m"
        else:
            head = f"{row['path']}:{row['line']}:{row['column']}  {row['name']}  {confidence}"
        print(f"{head}  {row['severity']}{encoding}\n    {row['secret']}")

    def end(self, skipped: list[Any]) -> None:
        binary = sum(item.reason == "binary" for item in skipped)
        unread = [item for item in skipped if item.reason != "binary"]
        for item in unread[:10]:
            print(f"not read: {item.path}: {item.reason}", file=sys.stderr)
        said = f"{self.count} finding{'' if self.count == 1 else 's'}" if self.count else "nothing found"
        left = f", {binary} binary files left out" if binary else ""
        more = f", {len(unread)} files could not be read" if unread else ""
        hint = "; `sluice detectors show ID` tells more of a kind" if self.count else ""
        print(f"{said}{left}{more}{hint}", file=sys.stderr)


class _Sarif(_Report):
    """SARIF 2.1.0: active secrets are errors, unchecked ones warnings, inactive ones notes."""

    def __init__(self, fingerprinter: Any, reveal: bool, loaded: Any) -> None:
        super().__init__(fingerprinter, reveal, loaded)
        self._results: list[dict[str, Any]] = []
        self._rules: dict[str, dict[str, Any]] = {}

    def finding(self, found: Any) -> None:
        from pathlib import PurePath
        from urllib.parse import quote

        row = self.row(found)
        detector = found.finding.candidate.detector
        rule: dict[str, Any] = {"id": detector.id, "name": detector.name, "shortDescription": {"text": detector.name}}
        if detector.documentation:
            rule["helpUri"] = detector.documentation
        self._rules.setdefault(detector.id, rule)
        level = {"active": "error", "inactive": "note"}.get(row["validity"], "warning")
        self._results.append(
            {
                "ruleId": detector.id,
                "ruleIndex": list(self._rules).index(detector.id),
                "level": level,
                "message": {"text": f"{detector.name} ({row['secret']}), confidence {row['confidence']}"},
                "locations": [
                    {
                        "physicalLocation": {
                            "artifactLocation": {"uri": quote(PurePath(row["path"]).as_posix())},
                            "region": {
                                "startLine": row["line"],
                                "startColumn": found.character,
                                "byteOffset": row["start"],
                                "byteLength": row["end"] - row["start"],
                            },
                        }
                    }
                ],
                "partialFingerprints": {"secretHmac/v1": row["fingerprint"]},
                "properties": {key: row[key] for key in ("confidence", "severity", "validity", "encoding", "category")},
            }
        )

    def end(self, skipped: list[Any]) -> None:
        import json

        from service import __version__

        driver = {"name": "Sluice", "version": __version__, "rules": list(self._rules.values())}
        document = {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{"tool": {"driver": driver}, "results": self._results, "columnKind": "unicodeCodePoints"}],
        }
        print(json.dumps(document, indent=2))


_REPORTS: dict[str, type[_Report]] = {"text": _Text, "jsonl": _Lines, "sarif": _Sarif}
