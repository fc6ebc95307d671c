"""Say what a secret is, once for all workers; they obey within a second.

  sluice verdict FINGERPRINT false_positive --reason "made up, for a test"
  sluice verdict FINGERPRINT accepted_risk --until 2027-01-01 --by ann@example.com
  printf %s "$TOKEN" | sluice verdict - revoked      the secret itself on standard input, never in the arguments
  sluice verdict --list
  sluice verdict --remove FINGERPRINT

true_positive    confirmed: goes on alerting, and the alerts say who confirmed it
false_positive   silent, until --until if that is given
accepted_risk    silent, likewise
used_in_tests    silent, likewise
revoked          silent, but alerts again should the provider call it live afterwards

--list tells when each last silenced its secret, as far back as repeats are remembered (repeats.window_seconds).
A fingerprint stands in every alert (secret.fingerprint). Verdicts are records of the topic sluice.verdicts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import getpass
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from service.errors import ExitCode, SluiceError

HELP = "say what a secret is, for all workers; list what was said"
KINDS = ("true_positive", "false_positive", "accepted_risk", "revoked", "used_in_tests")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("fingerprint", nargs="?", metavar="FINGERPRINT", help="as alerts show it, or - for a secret on stdin")
    parser.add_argument("verdict", nargs="?", choices=KINDS, metavar="VERDICT", help=f"one of {', '.join(KINDS)}")
    parser.add_argument("--reason", default="", help="why")
    parser.add_argument("--by", help="who says so (default: the user's name)")
    parser.add_argument("--until", metavar="DATE", help="when it ends, such as 2027-01-01; never if not given")
    parser.add_argument("--list", action="store_true", dest="listing", help="what holds")
    parser.add_argument("--remove", action="store_true", help="take the verdict back")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="of --list")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, TOML; the environment wins over it")


def run(arguments: argparse.Namespace) -> int:
    """Writes, removes or lists."""
    from service import settings
    from service.telemetry import logs

    loaded = settings.load(arguments.config)
    logs.configure("error", "console")
    if arguments.listing:
        if arguments.fingerprint or arguments.remove:
            raise SluiceError("--list: nothing else is expected beside it")
        _show(asyncio.run(_read(loaded)), arguments.format)
        return ExitCode.ok
    if arguments.fingerprint is None:
        raise SluiceError("FINGERPRINT: a secret's fingerprint, or - for a secret on standard input, expected; or --list")
    if arguments.remove == (arguments.verdict is not None):
        raise SluiceError(f"VERDICT: one of {', '.join(KINDS)} expected, or --remove")
    fingerprint = _fingerprint(arguments.fingerprint, loaded)
    value = None if arguments.remove else _value(arguments)
    asyncio.run(_write(loaded, fingerprint, value))
    print(f"{fingerprint}  {arguments.verdict or 'removed'}")
    return ExitCode.ok


def _fingerprint(given: str, settings: Any) -> str:
    from service.publish import verdicts
    from service.publish.fingerprint import Fingerprinter
    from service.records import Secret

    if given != "-":
        try:
            return verdicts.fingerprint_of(given.strip().lower().encode())
        except verdicts.VerdictError:
            raise SluiceError(
                "FINGERPRINT: 64 hexadecimal digits expected, as in an alert's secret.fingerprint;"
                " a secret itself is given on standard input, with - in its place"
            ) from None
    if not settings.fingerprint.key:
        raise SluiceError("fingerprint.key: expected, to know the secret's fingerprint: set SLUICE_FINGERPRINT__KEY")
    secret = sys.stdin.buffer.read().rstrip(b"\r\n")
    if not secret:
        raise SluiceError("-: a secret on standard input expected")
    return Fingerprinter(settings.fingerprint.key.encode()).secret(Secret(secret))


def _value(arguments: argparse.Namespace) -> bytes:
    from service.publish import verdicts

    try:
        until = verdicts.seconds(arguments.until, "--until") if arguments.until else None
    except verdicts.VerdictError as error:
        raise SluiceError(str(error)) from None
    if until is not None and until <= time.time():
        raise SluiceError(f"--until: {arguments.until} is over; a time to come expected")
    verdict = verdicts.Verdict(
        verdicts.Kind(arguments.verdict), arguments.by or getpass.getuser(), time.time(), arguments.reason, until
    )
    return json.dumps(verdict.told()).encode()


async def _write(settings: Any, fingerprint: str, value: bytes | None) -> None:
    from aiokafka.errors import KafkaError

    from service.consume import access, source

    if settings.consume.create_topics:
        await source.create_topics(settings, (), (settings.verdicts.topic,))
    producer = source.producer(settings)
    try:
        await producer.start()
        await producer.send_and_wait(settings.verdicts.topic, value, fingerprint.encode())
    except (KafkaError, OSError) as error:
        raise await access.explained(settings, error) from error
    finally:
        await producer.stop()


async def _read(settings: Any) -> list[dict[str, Any]]:
    """Every verdict that holds, with those that are over, in the order of writing; each with when it last silenced."""
    import msgspec

    from service.consume.table import Table
    from service.publish import repeats, verdicts

    found: dict[str, dict[str, Any]] = {}
    refused = 0

    def take(record: Any) -> None:
        nonlocal refused
        try:
            fingerprint = verdicts.fingerprint_of(record.key)
            found.pop(fingerprint, None)
            if record.value is not None:
                _, verdict = verdicts.parse(record.key, record.value, record.timestamp / 1000)
                found[fingerprint] = {"fingerprint": fingerprint, **verdict.told(), "over": verdict.is_over(time.time())}
        except verdicts.VerdictError as error:
            refused += 1
            print(f"sluice: {record.topic}[{record.partition}] offset {record.offset}: {error}", file=sys.stderr)

    seen: dict[str, str | None] = {}

    def see(record: Any) -> None:
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            fingerprint = (record.key or b"").decode("ascii")
            seen[fingerprint] = repeats.last_silenced(record.value) if record.value is not None else None

    isolation = "read_committed" if settings.publish.delivery == "exactly_once" else "read_uncommitted"
    tables = [Table(settings, settings.verdicts.topic, take)]
    if settings.repeats.enabled:
        tables.append(Table(settings, settings.secrets_topic, see, isolation))
    try:
        await asyncio.gather(*(table.start() for table in tables))
        await asyncio.gather(*(table.read_whole() for table in tables))
    finally:
        await asyncio.gather(*(table.stop() for table in tables))
    return [{**row, "last_silenced": seen.get(fingerprint)} for fingerprint, row in found.items()]


def _show(rows: list[dict[str, Any]], style: str) -> None:
    if style == "json":
        print(json.dumps(rows, indent=1))
        return
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table("fingerprint", "verdict", "by", "at", "until", "last silenced", "reason")
        for row in rows:
            table.add_row(*_cells(row))
        Console().print(table)
        print(f"{len(rows)} verdicts, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
        return
    for row in rows:
        print("\t".join(_cells(row)))


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    silenced = row["last_silenced"] or ("-" if row["verdict"] == "true_positive" else "not lately")
    return (row["fingerprint"], row["verdict"], row["by"], row["at"], _until(row), silenced, row["reason"])


def _until(row: dict[str, Any]) -> str:
    return ("over since " if row["over"] else "") + row["until"] if "until" in row else "for good"
