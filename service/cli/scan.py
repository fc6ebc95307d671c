"""Look for secrets in files, folders, or standard input.

  sluice scan .                                  a working tree, git-ignored and binary files left out
  git log -p | sluice scan -                     what flows
  sluice scan --format jsonl src | jq .detector  for programs
  sluice scan --format sarif . > leaks.sarif     for code scanning
  sluice scan --allow allowed.toml .             what a list of yours lets pass is left out
  sluice scan --explain --min-confidence low .   also what was looked at and dropped, and why

Exit status: 0 nothing found, 1 something found, 2 the work could not be done.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
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
    parser.add_argument(
        "--allow", type=Path, action="append", default=[], metavar="FILE", help="an allow-list, TOML of [[allow]] entries"
    )
    parser.add_argument(
        "--no-inline-allow", action="store_true", help="report also what a marker on its line (sluice:allow) lets pass"
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="list what was dropped and why: on standard error, with jsonl as objects that have a `dropped`",
    )


def run(arguments: argparse.Namespace) -> int:
    """Scans and prints."""
    from service import app
    from service.judge import suppression
    from service.judge.reasons import Dropped
    from service.publish.fingerprint import Fingerprinter, personal_key
    from service.records import Confidence, Location
    from service.sources import files, scanning

    entries = [entry for file in arguments.allow for entry in suppression.load(file)]
    suppressing = suppression.Suppression(entries, "report" if arguments.no_inline_allow else "obey")
    loaded, _ = app.load_database(arguments.detectors)
    inspector = app.inspector(loaded, Confidence(arguments.min_confidence))
    configured = os.environ.get("SLUICE_FINGERPRINT__KEY")
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    key = configured.encode() if configured else personal_key(home / "sluice" / "fingerprint.key")
    fingerprinter = Fingerprinter(key)
    report = _REPORTS[arguments.format](fingerprinter, arguments.reveal, loaded)
    tell = report.dropped if arguments.explain else None
    skipped: list[files.Skipped] = []
    if "-" in arguments.paths:
        if len(arguments.paths) > 1:
            raise SluiceError("-: standard input cannot be named beside other paths")
        found: Iterator[scanning.FileFinding] = scanning.stream(sys.stdin.buffer, inspector, tell)
    else:
        paths = list(files.listed(arguments.paths))
        found = scanning.scan(_with_progress(paths, arguments.format), inspector, skipped, tell)
    count = 0
    for finding in found:
        candidate = finding.finding.candidate
        location = Location(path=_within(finding.path), line=finding.line)
        passed = suppressing.suppressed(finding.finding, location, fingerprinter.secret(candidate.secret))
        if passed is None:
            report.finding(finding)
            count += 1
            continue
        report.passed += 1
        if tell:
            tell(scanning.FileDropped(finding.path, finding.line, finding.column, Dropped(candidate, *passed)))
    report.end(skipped, [f"{told.entry.source}: {told.clause}" for told in suppressing.told()])
    return ExitCode.findings if count else ExitCode.ok


def _within(path: str) -> str:
    """The path as seen from here, which is how allow-lists name it."""
    return os.path.relpath(path) if os.path.isabs(path) and path.startswith(os.getcwd() + os.sep) else path


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
        self.passed = 0

    def _shown(self, candidate: Any) -> str:
        from service.publish.redact import redact

        raw = candidate.secret.reveal()
        if self._reveal:
            return str(raw.decode("utf-8", "backslashreplace"))
        return redact(candidate.secret, candidate.detector.prefix_of(raw))

    def row(self, found: Any) -> dict[str, Any]:
        finding = found.finding
        candidate = finding.candidate
        detector = candidate.detector
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
            "secret": self._shown(candidate),
            "fingerprint": self._fingerprinter.secret(candidate.secret),
            "encoding": candidate.encoding,
            "checks": dict(finding.checks),
            "reasons": list(finding.reasons),
            "facts": dict(finding.facts),
            "parts": [self._part(part) for part in finding.parts],
        }

    def _part(self, part: Any) -> dict[str, Any]:
        from service.publish.redact import redact

        shown = part.harmless or self._reveal
        value = part.secret.reveal().decode("utf-8", "backslashreplace") if shown else redact(part.secret, b"")
        return {"name": part.name, "value": value, "fingerprint": self._fingerprinter.secret(part.secret)}

    def finding(self, found: Any) -> None:
        raise NotImplementedError

    def dropped(self, found: Any) -> None:
        """Says of a candidate why it is not reported."""
        candidate, reason, clause = found.dropped
        place = f"{found.path}:{found.line}:{found.column}"
        print(f"dropped: {place}  {candidate.detector.id}  {self._shown(candidate)}  {reason}: {clause}", file=sys.stderr)

    def end(self, skipped: list[Any], told: list[str]) -> None:
        """Prints what comes last; ``told`` is what there is to say of allow-lists."""
        for clause in told:
            print(f"allow-list: {clause}", file=sys.stderr)


class _Lines(_Report):
    def finding(self, found: Any) -> None:
        import msgspec

        sys.stdout.buffer.write(msgspec.json.encode(self.row(found)) + b"\n")

    def dropped(self, found: Any) -> None:
        import msgspec

        candidate, reason, clause = found.dropped
        row = {
            "dropped": reason.value,
            "reason": clause,
            "detector": candidate.detector.id,
            "path": found.path,
            "line": found.line,
            "column": found.column,
            "secret": self._shown(candidate),
        }
        sys.stdout.buffer.write(msgspec.json.encode(row) + b"\n")

    def end(self, skipped: list[Any], told: list[str]) -> None:
        sys.stdout.buffer.flush()
        super().end(skipped, told)


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
        for part in row["parts"]:
            print(f"    with {part['name']}: {part['value']}")

    def end(self, skipped: list[Any], told: list[str]) -> None:
        super().end(skipped, told)
        binary = sum(item.reason == "binary" for item in skipped)
        unread = [item for item in skipped if item.reason != "binary"]
        for item in unread[:10]:
            print(f"not read: {item.path}: {item.reason}", file=sys.stderr)
        said = f"{self.count} finding{'' if self.count == 1 else 's'}" if self.count else "nothing found"
        left = f", {binary} binary files left out" if binary else ""
        more = f", {len(unread)} files could not be read" if unread else ""
        hint = "; `sluice detectors show ID` tells more of a kind" if self.count else ""
        passed = f", {self.passed} let pass" if self.passed else ""
        print(f"{said}{passed}{left}{more}{hint}", file=sys.stderr)


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

    def end(self, skipped: list[Any], told: list[str]) -> None:
        import json

        from service import __version__

        driver = {"name": "Sluice", "version": __version__, "rules": list(self._rules.values())}
        document = {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{"tool": {"driver": driver}, "results": self._results, "columnKind": "unicodeCodePoints"}],
        }
        print(json.dumps(document, indent=2))
        super().end(skipped, told)


_REPORTS: dict[str, type[_Report]] = {"text": _Text, "jsonl": _Lines, "sarif": _Sarif}
