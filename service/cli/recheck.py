"""Ask providers again about secrets that were found earlier.

  sluice recheck < leaked.jsonl > answers.jsonl
  sluice recheck --publish --config sluice.toml < leaked.jsonl
  vault-export | jq -c '{detector: .kind, secret: .value}' | sluice recheck

Sluice keeps no secret: an alert has its fingerprint, from which nobody gets it back. So whoever asks again has to bring the
secret along, one JSON object a line on standard input:

  {"secret": "…", "detector": "stripe-live-secret-key", "fingerprint": "…", "companions": {"account sid": "…"}}

Only the secret is needed. Without a detector it is recognised, which needs a shape that speaks for itself. A fingerprint, as
alerts have it, is compared with the secret's own under fingerprint.key, so that nothing is mixed up. One line of JSON comes
back for each, in their order, with what the provider says and never with the secret.

With --publish the running service is told, and updates its alerts of these secrets; that somebody could not tell takes
nothing back. A running service asks again by itself when a secret leaks once more after the answer it remembers has lapsed:
an hour after "active", a day after "inactive", ten minutes after "unknown".

Exit status: 0 refused by the provider, 1 active, 2 the work could not be done, 3 nobody could tell.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.errors import ExitCode, SluiceError

if TYPE_CHECKING:
    from service.cli._asking import Asked

HELP = "ask providers again about secrets that were found earlier"
MAX_LINE = 64 * 1024
AT_ONCE = 64
_KEYS = ("secret", "detector", "fingerprint", "companions")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("--publish", action="store_true", help="tell the running service, which updates its alerts")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, TOML; the environment wins over it")


def run(arguments: argparse.Namespace) -> int:
    """Reads, asks, prints."""
    from service import app, settings
    from service.publish.fingerprint import Fingerprinter
    from service.telemetry import logs

    loaded = settings.load(arguments.config)
    logs.configure("error", "console")
    if sys.stdin.isatty():
        raise SluiceError("JSON lines on standard input expected; `sluice recheck --help` shows one")
    database, _ = app.load_database([Path(folder) for folder in loaded.detect.folders], loaded.detect.disable)
    key = loaded.fingerprint.key
    if arguments.publish and not key:
        raise SluiceError("fingerprint.key: the organisation's key is needed to publish; see SLUICE_FINGERPRINT__KEY")
    if arguments.publish and not loaded.repeats.enabled:
        raise SluiceError("repeats.enabled: with false nobody keeps alerts that could be updated")
    asker = _Asker(loaded.probe, database, Fingerprinter(key.encode()) if key else None)
    return asyncio.run(_published(loaded, asker) if arguments.publish else asker.run(sys.stdin.buffer))


async def _published(settings: Any, asker: _Asker) -> int:
    """Asks, and writes what is known now where the owners of the secrets read it."""
    from aiokafka.errors import KafkaError

    from service.consume import access, source
    from service.publish import repeats
    from service.records import Validity

    producer = source.producer(settings)

    async def tell(row: dict[str, Any], at: float) -> None:
        if row["validity"] != Validity.unknown:
            told = repeats.Answer(row["fingerprint"], Validity(row["validity"]), at, row["meaning"], row["facts"])
            await producer.send_and_wait(settings.sightings_topic, repeats.encode(told), row["fingerprint"].encode())

    try:
        await producer.start()
        return await asker.run(sys.stdin.buffer, tell)
    except (KafkaError, OSError) as error:
        raise await access.explained(settings, error) from error
    finally:
        await producer.stop()


class _Asker:
    """Takes lines, asks for some of them at a time."""

    def __init__(self, settings: Any, loaded: Any, fingerprinter: Any) -> None:
        self._settings = settings
        self._loaded = loaded
        self._fingerprinter = fingerprinter
        self._detectors = {detector.id: detector for detector in loaded.detectors}

    async def run(self, lines: Iterable[bytes], tell: Callable[[dict[str, Any], float], Awaitable[None]] | None = None) -> int:
        from service import app
        from service.cli import _asking
        from service.records import Validity
        from service.telemetry.metrics import Metrics

        prober = app.prober(self._settings, self._loaded.detectors, Metrics(), lambda *told: None)
        await prober.start()
        seen: set[Validity] = set()
        wrong = False
        numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
        try:
            for batch in _batched(numbered):
                at = time.time()
                for row in await asyncio.gather(*(self._one(prober, number, line) for number, line in batch)):
                    print(json.dumps(row), flush=True)
                    if "error" in row:
                        wrong = True
                        continue
                    seen.add(Validity(row["validity"]))
                    if tell is not None:
                        await tell(row, at)
        finally:
            await prober.stop()
        return ExitCode.failed if wrong or not seen else _asking.code(seen)

    async def _one(self, prober: Any, number: int, line: bytes) -> dict[str, Any]:
        from service.cli import _asking

        try:
            asked, fingerprint = self._read(line)
        except SluiceError as error:
            return {"line": number, "error": str(error)}
        outcome = await prober.check(asked.detector, asked.secret, asked.companions)
        return {"line": number, "fingerprint": fingerprint, **_asking.row(asked, outcome)}

    def _read(self, line: bytes) -> tuple[Asked, str | None]:
        """What a line asks about.

        Raises:
            SluiceError: the line is wrong; no part of it is told.
        """
        from service.cli import _asking
        from service.records import Secret

        if len(line) > MAX_LINE:
            raise SluiceError(f"at most {MAX_LINE} bytes expected")
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise SluiceError("this is no JSON") from None
        if not isinstance(row, dict) or not isinstance(row.get("secret"), str) or not row["secret"]:
            raise SluiceError("an object with a secret, a string, expected")
        if unknown := sorted(set(row) - set(_KEYS)):
            raise SluiceError(f"{len(unknown)} keys that are not known; {', '.join(_KEYS)} expected")
        companions = row.get("companions") or {}
        if not isinstance(companions, dict) or not all(isinstance(value, str) for value in companions.values()):
            raise SluiceError("companions: an object of strings expected")
        secret = Secret(row["secret"].encode("utf-8", "surrogatepass"))
        fingerprint = self._fingerprinter.secret(secret) if self._fingerprinter else None
        if row.get("fingerprint") not in (None, fingerprint):
            why = "that of another secret" if fingerprint else "fingerprint.key is not set, so it cannot be compared"
            raise SluiceError(f"fingerprint: {why}")
        beside = {name: Secret(value.encode("utf-8", "surrogatepass")) for name, value in companions.items()}
        identity = row.get("detector")
        if identity is not None:
            if not isinstance(identity, str) or identity not in self._detectors:
                raise SluiceError("detector: there is no such id; `sluice detectors list` shows all")
            return _asking.Asked(self._detectors[identity], secret, beside), fingerprint
        found = [one for one in _asking.recognised(self._loaded, secret.reveal()) if one.secret == secret]
        if not found:
            raise SluiceError("detector: the secret does not tell what it is; its id expected")
        return found[0]._replace(companions=beside), fingerprint


def _batched(lines: Iterable[tuple[int, bytes]]) -> Iterable[tuple[tuple[int, bytes], ...]]:
    iterator = iter(lines)
    while batch := tuple(itertools.islice(iterator, AT_ONCE)):
        yield batch
