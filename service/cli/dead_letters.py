"""What could not be processed: look at it, and send it round again when the cause is mended.

  sluice dead-letters                                    a table: reason, origin, age, size; never the payload
  sluice dead-letters list --reason internal_error --since 2h
  sluice dead-letters list --format json --reveal        with keys and payloads, which may hold secrets
  sluice dead-letters replay --dry-run                   what would be sent back
  sluice dead-letters replay --topic git.events --rate 200

A letter goes back to the topic it came from, with its own key and headers, once: what was replayed is remembered as the
offsets of a consumer group. A payload that was too large for the dead letters is fetched from its topic, if it is there yet.
Times: 2026-11-26, 2026-11-26T12:00:00+00:00, or 30m, 2h, 7d ago.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import re
import sys
import time
from collections import Counter, deque
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from service.errors import ExitCode, SluiceError

if TYPE_CHECKING:
    from service.consume.deadletter import Filter, Letter
    from service.settings import Settings

HELP = "list what could not be processed, and replay it"
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.set_defaults(reason=[], topic=[], since=None, until=None, limit=1000, format="table", reveal=False, config=None)
    below = parser.add_subparsers(dest="action", metavar="ACTION")
    listing = below.add_parser("list", help="what is there (the default)")
    replay = below.add_parser("replay", help="send it back to where it came from")
    for one in (listing, replay):
        one.add_argument("--reason", action="append", default=[], metavar="REASON", help="only this one; may be repeated")
        one.add_argument("--topic", action="append", default=[], metavar="TOPIC", help="only from there; may be repeated")
        one.add_argument("--since", metavar="TIME", help="dead since then")
        one.add_argument("--until", metavar="TIME", help="dead before then")
        one.add_argument("--config", type=Path, metavar="FILE", help="settings, TOML; the environment wins over it")
    listing.add_argument("--limit", type=int, default=1000, metavar="N", help="the last N (default 1000)")
    listing.add_argument("--format", choices=("table", "json"), default="table")
    listing.add_argument("--reveal", action="store_true", help="show keys and payloads: they may hold secrets")
    replay.add_argument("--rate", type=float, default=500.0, metavar="N", help="letters a second (default 500)")
    replay.add_argument("--dry-run", action="store_true", help="say what would be sent back, and send nothing")
    replay.add_argument("--yes", action="store_true", help="do not ask")


def run(arguments: argparse.Namespace) -> int:
    """Lists or replays."""
    from service import settings
    from service.consume.deadletter import Filter
    from service.telemetry import logs

    now = time.time()
    wanted = Filter(
        frozenset(arguments.reason),
        frozenset(arguments.topic),
        _moment(arguments.since, "--since", now) if arguments.since else 0.0,
        _moment(arguments.until, "--until", now) if arguments.until else float("inf"),
    )
    loaded = settings.load(arguments.config)
    logs.configure("error", "console")
    if arguments.action == "replay":
        if not arguments.rate > 0:
            raise SluiceError("--rate: more than 0 letters a second expected")
        return asyncio.run(_replay(loaded, wanted, arguments))
    if arguments.limit < 1:
        raise SluiceError("--limit: 1 or more expected")
    return asyncio.run(_list(loaded, wanted, arguments))


def _moment(text: str, name: str, now: float) -> float:
    """A time in seconds since 1970.

    Raises:
        SluiceError: it is none.
    """
    if found := re.fullmatch(r"([0-9]{1,9})([smhd])", text, re.ASCII):
        return now - int(found[1]) * _UNITS[found[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SluiceError(
            f"{name}: a time such as 2026-11-26, 2026-11-26T12:00:00+00:00 or 2h expected, found {text!r}"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


async def _list(settings: Settings, wanted: Filter, arguments: argparse.Namespace) -> int:
    from service.consume.deadletter import Letters

    kept: deque[tuple[Letter, bool]] = deque(maxlen=arguments.limit)
    reasons: Counter[str] = Counter()
    async with Letters.opening(settings) as letters:
        async for letter in letters.read(wanted):
            reasons[letter.reason] += 1
            if not arguments.reveal:  # nothing is kept that is not shown
                size = letter.size
                letter = letter._replace(record=_emptied(letter), headers=(), carried=size)
            kept.append((letter, letter.record.offset in letters.done[letter.record.partition]))
    rows = [_row(letter, replayed, arguments.reveal) for letter, replayed in kept]
    rows.sort(key=lambda row: row["dead_since"])
    if arguments.format == "json":
        print(json.dumps(rows, indent=1))
    else:
        _table(rows, arguments.reveal)
        told = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
        shown = f"; the last {len(rows):,} are shown" if len(rows) < sum(reasons.values()) else ""
        print(f"{sum(reasons.values()):,} dead letters" + (f": {told}{shown}" if told else ""), file=sys.stderr)
    return ExitCode.ok


def _emptied(letter: Letter) -> Any:
    import msgspec

    return msgspec.structs.replace(letter.record, key=None, value=None, headers=())


def _row(letter: Letter, replayed: bool, reveal: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "reason": letter.reason,
        "error": letter.error,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "dead_since": datetime.fromtimestamp(letter.record.timestamp / 1000, UTC).isoformat(timespec="seconds"),
        "age_seconds": max(0, round(time.time() - letter.record.timestamp / 1000)),
        "size": letter.size,
        "payload_left_out": letter.is_left_out,
        "replayed": replayed,
        "letter": {"partition": letter.record.partition, "offset": letter.record.offset},
    }
    if reveal:
        row["key"], row["value"] = _shown(letter.record.key), _shown(letter.record.value)
        row["headers"] = [[name, _shown(value)] for name, value in letter.headers]
    return row


def _shown(content: bytes | None) -> str | dict[str, str] | None:
    """Text as it is, anything else in base64."""
    if content is None:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def _table(rows: list[dict[str, Any]], reveal: bool) -> None:
    cells = [
        (
            row["reason"] + (f" ({row['error']})" if row["error"] else ""),
            row["topic"] or "?",
            "?" if row["partition"] is None else str(row["partition"]),
            "?" if row["offset"] is None else str(row["offset"]),
            _age(row["age_seconds"]),
            "left out" if row["payload_left_out"] else _size(row["size"]),
            "yes" if row["replayed"] else "",
            *((json.dumps(row["value"], ensure_ascii=False),) if reveal else ()),
        )
        for row in rows
    ]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table()
        for name in ("reason", "topic", "partition", "offset", "age", "size", "replayed", *(("payload",) if reveal else ())):
            table.add_column(name, justify="right" if name in ("partition", "offset", "age", "size") else "left")
        for row in cells:
            table.add_row(*(Text(cell) for cell in row))
        Console().print(table)
    else:
        for row in cells:
            print("\t".join(row))


def _age(seconds: int) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _size(size: int) -> str:
    return f"{size} B" if size < 1000 else f"{size / 1000:.1f} KB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"


async def _replay(settings: Settings, wanted: Filter, arguments: argparse.Namespace) -> int:
    from service.consume.deadletter import Letters

    async with Letters.opening(settings) as letters:
        counted: Counter[tuple[str, str]] = Counter()
        async for letter in letters.read(wanted, skip_replayed=True):
            counted[letter.reason, letter.topic or "?"] += 1
        total = sum(counted.values())
        for (reason, topic), count in counted.most_common():
            print(f"{count:,}\t{reason}\t{topic}")
        if arguments.dry_run or not total:
            print(f"{total:,} letters would be sent back" if arguments.dry_run else "nothing to send back", file=sys.stderr)
            return ExitCode.ok
        if sys.stdin.isatty() and not arguments.yes:
            answer = await asyncio.to_thread(input, f"Send {total:,} letters back to their topics? [y/N] ")
            if answer.strip().lower() not in ("y", "yes"):
                print("nothing was sent", file=sys.stderr)
                return ExitCode.ok
        outcome = await _with_progress(letters, wanted, arguments.rate, total)
    for cause, count in outcome.left.items():
        print(f"{count:,} not sent: {cause}", file=sys.stderr)
    print(f"{outcome.sent:,} letters sent back", file=sys.stderr)
    return ExitCode.failed if outcome.left else ExitCode.ok


async def _with_progress(letters: Any, wanted: Filter, rate: float, total: int) -> Any:
    if not sys.stderr.isatty():
        return await letters.replay(wanted, rate, lambda count: None)
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("replaying", total=total)
        return await letters.replay(wanted, rate, lambda count: progress.advance(task, count))
