"""Ask a provider whether one secret is live, by hand.

  sluice check                                        asks for the secret without showing it
  sluice check < snippet.env                          recognises what stands there, and what belongs to it
  pass show stripe | sluice check --detector stripe-live-secret-key
  printf '%s\\naccount sid=%s\\n' "$TOKEN" "$SID" | sluice check --detector twilio-auth-token --format json

The secret comes on standard input or from a prompt, never in the arguments, and goes to its own provider only. With
--detector the first line is the secret and the following ones are what belongs to it, name=value. A yes is believed only
after the provider refused a made-up secret. Hosts of your own, the proxy and limits come from [probe] of the settings;
asking by hand needs no probe.enabled.

Exit status: 0 refused by the provider, 1 active, 2 the work could not be done, 3 nobody could tell.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.errors import SluiceError

if TYPE_CHECKING:
    from service.cli._asking import Asked
    from service.records import Detector

HELP = "ask a provider whether a secret is live"
MAX_INPUT = 1024 * 1024


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("--detector", metavar="ID", help="what it is; recognised if not given")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="json: one object a line")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, TOML; the environment wins over it")


def run(arguments: argparse.Namespace) -> int:
    """Asks and prints."""
    from service import app, settings
    from service.cli import _asking
    from service.records import Validity
    from service.telemetry import logs

    loaded = settings.load(arguments.config)
    logs.configure("error", "console")
    database, _ = app.load_database([Path(folder) for folder in loaded.detect.folders], loaded.detect.disable)
    if arguments.detector:
        asked = [_given(_asking.named(database.detectors, arguments.detector))]
    else:
        asked = _asking.recognised(database, _prompted("Secret, not shown: ").encode() or sys.stdin.buffer.read(MAX_INPUT))
    if not asked:
        raise SluiceError("nothing was recognised; name it with --detector, `sluice detectors list` shows all")
    rows = asyncio.run(_ask(loaded.probe, database.detectors, asked))
    _show(rows, arguments.format)
    return _asking.code(Validity(row["validity"]) for row in rows)


def _prompted(question: str) -> str:
    """An answer from the terminal, empty where there is none."""
    return getpass.getpass(question, sys.stderr).strip() if sys.stdin.isatty() else ""


def _given(detector: Detector) -> Asked:
    from service.cli import _asking
    from service.records import Secret

    needed = _asking.companions(detector.live) if detector.live else []
    if sys.stdin.isatty():
        secret = _prompted(f"{detector.name}, not shown: ")
        values = {name: _prompted(f"{name}, not shown: ") for name in needed}
    else:
        secret, *lines = sys.stdin.buffer.read(MAX_INPUT).decode("utf-8", "replace").strip().splitlines() or [""]
        values = {}
        for number, line in enumerate(lines, 2):
            name, equals, value = line.partition("=")
            if not equals or name.strip() not in needed:
                wanted = " or ".join(f"{name}=…" for name in needed) or "nothing more"
                raise SluiceError(f"standard input, line {number}: {wanted} expected")
            values[name.strip()] = value.strip()
    if not secret.strip():
        raise SluiceError("a secret on standard input expected")
    found = {name: Secret(value.encode()) for name, value in values.items() if value}
    return _asking.Asked(detector, Secret(secret.strip().encode()), found)


async def _ask(settings: Any, detectors: Any, asked: list[Asked]) -> list[dict[str, Any]]:
    from service import app
    from service.cli import _asking
    from service.telemetry.metrics import Metrics

    prober = app.prober(settings, detectors, Metrics(), lambda *told: None)
    await prober.start()
    try:
        outcomes = await asyncio.gather(*(prober.check(one.detector, one.secret, one.companions) for one in asked))
    finally:
        await prober.stop()
    return [_asking.row(one, outcome) for one, outcome in zip(asked, outcomes, strict=True)]


def _show(rows: list[dict[str, Any]], style: str) -> None:
    import json

    if style == "json":
        for row in rows:
            print(json.dumps(row))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    paint = {"active": "bold red", "inactive": "green", "unknown": "yellow"}
    for row in rows:
        console.print(Text.assemble((row["validity"], paint[row["validity"]]), f"  {row['name']}  {row['secret']}"))
        told = {"provider": row["provider"], "detector": row["detector"], "reason": row["meaning"], **row["facts"]}
        for name, value in told.items():
            console.print(Text(f"  {name.replace('_', ' '):<14} {value}"))
