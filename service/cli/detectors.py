"""The catalogue of secret types.

sluice detectors                         a table of all
sluice detectors list --format json      for programs
sluice detectors show wepay-access-token
sluice detectors check                   prove every detector by its own examples
sluice detectors check my-detectors/     and a folder of yours
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from service.errors import ExitCode, SluiceError, nearest
from service.records import LiveCheck

HELP = "list, show and check the secret types"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    below = parser.add_subparsers(dest="action", metavar="ACTION")
    listing = below.add_parser("list", help="a table of all (the default)")
    listing.add_argument("--format", choices=("table", "json", "markdown"), default="table")
    listing.add_argument("--category", help="only those of one category")
    show = below.add_parser("show", help="everything about one")
    show.add_argument("id", metavar="ID")
    check = below.add_parser("check", help="prove detectors by their own examples")
    check.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="a folder, or one category of it")


def run(arguments: argparse.Namespace) -> int:
    """Lists, shows or checks."""
    if arguments.action == "show":
        return _show(arguments.id)
    if arguments.action == "check":
        return _check(arguments.folder)
    return _list(getattr(arguments, "format", "table"), getattr(arguments, "category", None))


def _list(style: str, category: str | None) -> int:
    import itertools
    import json

    from service import app

    loaded, _ = app.load_database()
    categories = sorted({detector.category for detector in loaded.detectors})
    if category is not None and category not in categories:
        raise SluiceError(f"{category}: there is no such category; {nearest(category, categories)}")
    rows = [
        {key: str(getattr(detector, key)) for key in ("id", "name", "provider", "category", "severity", "documentation")}
        for detector in loaded.detectors
        if category in (None, detector.category)
    ]
    rows.sort(key=lambda row: (row["category"], row["provider"].lower(), row["id"]))
    providers = len({row["provider"] for row in rows})
    if style == "json":
        print(json.dumps(rows, indent=1))
    elif style == "markdown":
        print(f"# {len(rows)} secret types of {providers} providers")
        for group, members in itertools.groupby(rows, key=lambda row: row["category"]):
            print(f"\n## {group}\n| id | name | provider | severity |\n|---|---|---|---|")
            for row in members:
                print(f"| `{row['id']}` | {row['name']} | {row['provider']} | {row['severity']} |")
    elif sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(title=f"{len(rows)} secret types of {providers} providers", title_justify="left")
        for column in ("category", "id", "name", "severity"):
            table.add_column(column, no_wrap=column == "id")
        for row in rows:
            table.add_row(row["category"], row["id"], row["name"], row["severity"])
        Console().print(table)
    else:
        for row in rows:
            print(f"{row['category']}\t{row['id']}\t{row['name']}\t{row['severity']}")
        print(f"{len(rows)} secret types of {providers} providers", file=sys.stderr)
    return ExitCode.ok


def _show(wanted: str) -> int:
    import difflib

    from service import app

    loaded, _ = app.load_database()
    by_id = {detector.id: detector for detector in loaded.detectors}
    detector = by_id.get(wanted)
    if detector is None:
        near = difflib.get_close_matches(wanted, by_id, 3)
        hint = f"did you mean {', '.join(near)}?" if near else "`sluice detectors list` shows all"
        raise SluiceError(f"{wanted}: there is no such detector; {hint}")
    rows: list[tuple[str, object]] = [
        ("id", detector.id),
        ("name", detector.name),
        ("provider", detector.provider),
        ("category", detector.category),
        ("severity", detector.severity.value),
        ("use", detector.use),
        ("risk", detector.risk),
        ("expression", detector.expression),
        ("before", detector.before),
        ("after", detector.after),
        ("keywords", ", ".join(detector.keywords)),
        ("checks", ", ".join(detector.checks)),
        ("companions", ", ".join(detector.companions)),
        ("documentation", detector.documentation),
        ("live check", _asked(detector.live) if detector.live else ""),
    ]
    if detector.revoke:
        rows += [("revoke", detector.revoke.console), ("", detector.revoke.api), ("", detector.revoke.documentation)]
    for name, value in rows:
        if value:
            print(f"{name:14} {value}")
    return ExitCode.ok


def _asked(live: LiveCheck) -> str:
    """What a live check asks, and where an operator may have it asked."""
    if not live.endpoint:
        return f"{live.method} {live.url}"
    return f"{live.method} {live.url} ({'or ' if live.origin else ''}at the host under probe.endpoints.{live.endpoint})"


def _check(folder: Path | None) -> int:
    from service import app, proof
    from service.detect import catalogue
    from service.judge import evidence
    from service.probe import request
    from service.records import Confidence

    roots: list[Path] = []
    only: list[str] | None = None
    if folder is not None:
        root = folder.parent if any(folder.glob("*.toml")) else folder
        sources = [s for s in catalogue.read([root.resolve()]) if root == folder or s.category == folder.resolve().name]
        if not sources:
            raise SluiceError(f"{folder}: no detector files in it; <category>/<provider>.toml expected")
        only = [detector.id for detector in catalogue.load(sources, evidence.names(), request.names())]
        if root.resolve() != catalogue.BUILT_IN:
            roots.append(root)
    loaded, _ = app.load_database(roots)
    faults = list(proof.check(loaded, app.inspector(loaded, Confidence.low), only))
    for fault in faults:
        print(f"{fault.detector}: {fault.what}")
    number = len(loaded.detectors) if only is None else len(only)
    wrong = len({fault.detector for fault in faults})
    print(f"{number - wrong} of {number} detectors are right", file=sys.stderr)
    return ExitCode.findings if faults else ExitCode.ok
