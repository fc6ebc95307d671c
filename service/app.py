"""The composition root: builds the parts from the settings, starts them in order, stops them in the reverse."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import datetime
import multiprocessing
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from service import __version__, proof
from service.consume import clients, connections, source
from service.consume.table import Table
from service.decode import layers, sniff
from service.detect import catalogue, database
from service.detect.database import Database
from service.detect.scanner import Scanner
from service.errors import DetectorError, SettingsError, SluiceError, nearest
from service.inspection import Inspector
from service.judge import evidence, suppression
from service.judge.checks import aws_account_id
from service.judge.policy import Policy
from service.judge.reasons import Dropped
from service.judge.rules import Rules
from service.judge.suppression import Suppression
from service.ledger import Ledger
from service.pipeline import Pipeline
from service.probe import network, request
from service.probe.prober import OnResult, Prober
from service.publish import remediation
from service.publish.fingerprint import Fingerprinter
from service.publish.verdicts import VerdictError, Verdicts
from service.records import Confidence, Detector, Location, Record, Ruling, Secret, Severity, Validity
from service.settings import Probe, Settings, changed, stamp, with_live
from service.stage import Stage
from service.telemetry import crash, logs
from service.telemetry.metrics import Metrics
from service.telemetry.server import Server
from service.web import pages
from service.web.library import Library

_log = logs.get("app")
_LOOP_LATE_SECONDS: Final = 10.0
_VERDICTS_SECONDS: Final = 15.0
_UNFIRED_TOLD_SECONDS: Final = 86_400.0
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3


def load_database(folders: Iterable[Path] = (), disabled: Sequence[str] = ()) -> tuple[Database, str]:
    """The database of the built-in detectors and those of further folders, and the digest of their content.

    Raises:
        DetectorError: a file is wrong, or a disabled id does not exist.
        DatabaseError: the engine refuses an expression.
    """
    sources = catalogue.read((catalogue.BUILT_IN, *folders))
    digest = catalogue.digest(sources)
    key = "\0".join((digest, *sorted(disabled)))

    def detectors() -> list[Detector]:
        found = catalogue.load(sources, evidence.names(), request.names())
        if unknown := set(disabled) - {detector.id for detector in found}:
            raise DetectorError(f"detect.disable: there is no detector {min(unknown)!r}; `sluice detectors list` shows all")
        return [detector for detector in found if detector.id not in disabled]

    return database.load(key, detectors), digest


def compile_aside(folders: Sequence[Path], disabled: Sequence[str]) -> None:
    """Puts the database of these detectors into the cache; what :meth:`Service.reload` has another process do."""
    load_database(folders, disabled)


def scanner(loaded: Database) -> Scanner:
    """A scanner for one thread."""
    return Scanner(loaded, layers.unwrap)


def inspector(
    loaded: Database,
    min_confidence: Confidence,
    envelopes: dict[str, str] | None = None,
    on_dropped: Callable[[Dropped], None] | None = None,
    policy: Policy | None = None,
    audit: bool = False,
) -> Inspector:
    """An inspector for one thread."""
    return Inspector(scanner(loaded), envelopes, min_confidence, on_dropped, policy, audit)


def let_pass(settings: Settings) -> Suppression:
    """What the settings let pass.

    Raises:
        SettingsError: an allow-list cannot be read or is wrong.
    """
    entries = [entry for file in settings.allow.files for entry in suppression.load(Path(file))]
    return Suppression(entries, settings.allow.inline)


def harmless_facts(value: bytes) -> Mapping[str, str]:
    """What a value holds in clear that tells a tripwire: the account of an AWS access key id."""
    return aws_account_id.check(value, b"", b"").facts if value[:4] in (b"AKIA", b"ASIA") else {}


def prove_probe(settings: Probe, detectors: Sequence[Detector]) -> None:
    """Looks at what the settings of live checks name.

    Raises:
        SettingsError: a name that no detector has, or a file that holds no certificates.
    """
    if settings.enabled:
        network.trusted(settings.ca_file)
    endpoints = sorted({detector.live.endpoint for detector in detectors if detector.live and detector.live.endpoint})
    known = {name for detector in detectors for name in (detector.id, detector.provider)}
    for name in settings.endpoints:
        if name not in endpoints:
            raise SettingsError(f"probe.endpoints.{name}: no detector asks such a host; {nearest(name, endpoints)}")
    for key in ("only", "skip"):
        for name in getattr(settings, key):
            if name not in known:
                raise SettingsError(f"probe.{key}: {name!r}: a detector's id or a provider's name expected")


def prober(settings: Probe, detectors: Sequence[Detector], metrics: Metrics, on_result: OnResult) -> Prober:
    """The live checks of one process, not yet started.

    Raises:
        SettingsError: a name that no detector has.
    """
    prove_probe(settings, detectors)
    rng = random.SystemRandom()
    return Prober(settings, metrics, on_result, lambda detector: proof.secret_of(detector, rng), harmless_facts)


def tune_allocator() -> None:
    """Keeps glibc from giving pages back and faulting them in again for every fetch; a third of a consumer's time.

    What is free at this moment goes back first: later it would be kept.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None)
            libc.malloc_trim(0)
            libc.mallopt(_M_MMAP_THRESHOLD, 32 * 1024 * 1024)
            libc.mallopt(_M_TRIM_THRESHOLD, 256 * 1024 * 1024)


def prove(settings: Settings) -> None:
    """Looks at what the settings alone cannot know to be right.

    Raises:
        SettingsError: an envelope that nobody knows, an allow-list or a rule that is wrong, or a key that is too short.
    """
    let_pass(settings)
    Rules(settings.rules.listed)
    known = sorted(sniff.envelopes())
    for topic, envelope in settings.consume.envelopes.items():
        if envelope not in known:
            raise SettingsError(f"consume.envelopes.{topic}: there is no envelope {envelope!r}; {nearest(envelope, known)}")
    if settings.fingerprint.key:
        Fingerprinter(settings.fingerprint.key.encode())


def fingerprint_key(settings: Settings) -> bytes:
    """The organisation's key.

    Raises:
        SettingsError: there is none.
    """
    if not settings.fingerprint.key:
        raise SettingsError(
            "fingerprint.key: the organisation's key is missing; put the output of `openssl rand -hex 32` into"
            " SLUICE_FINGERPRINT__KEY, or into a file that fingerprint.key_file names, and keep it"
        )
    return settings.fingerprint.key.encode()


def prepare(settings: Settings) -> None:
    """What every worker would do at its start: proves the settings, and compiles the database into the cache.

    Raises:
        SluiceError: what a user can put right.
    """
    prove(settings)
    Fingerprinter(fingerprint_key(settings))
    load_database(_folders(settings), settings.detect.disable)


def _folders(settings: Settings) -> list[Path]:
    return [Path(folder) for folder in settings.detect.folders]


def _policy_of(settings: Settings, fingerprinter: Fingerprinter) -> Policy:
    policy = Policy(let_pass(settings), Rules(settings.rules.listed), fingerprinter.secret)
    for told in policy.suppression.told():
        if told.entry.is_over(datetime.date.today()):
            _log.warning("an entry of an allow-list is over", entry=told.entry.source, expired=str(told.entry.expires))
    return policy


def _inspector_of(loaded: Database, settings: Settings, policy: Policy) -> Inspector:
    least = Confidence(settings.publish.min_confidence)
    audit = settings.publish.audit_topic is not None
    return inspector(loaded, least, dict(settings.consume.envelopes), policy=policy, audit=audit)


class _Stamps(NamedTuple):
    """What tells that files have changed."""

    detectors: frozenset[Any]
    allowing: frozenset[Any]
    config: frozenset[Any]

    @classmethod
    def of(cls, settings: Settings, config: Path | None) -> _Stamps:
        """Those of now."""
        detectors = [path for folder in _folders(settings) for path in folder.glob("*/*.toml")]
        return cls(stamp(detectors), stamp(map(Path, settings.allow.files)), stamp([config] if config else []))


class Service:
    """One worker: the pipeline and the endpoint beside it.

    Args:
        settings: all of them.
        reread: reads the settings again, when SIGHUP asks for it; None where they are what they are.
        config: the file they are in, read again when it has changed; None where somebody else looks at it.
    """

    def __init__(self, settings: Settings, reread: Callable[[], Settings] | None = None, config: Path | None = None) -> None:
        self.settings = settings
        self._reread = reread
        self._config = config
        self._stamps = _Stamps.of(settings, config)
        self.metrics = Metrics()
        prove(settings)
        self._fingerprinter = Fingerprinter(fingerprint_key(settings))
        loaded, digest = load_database(_folders(settings), settings.detect.disable)
        prove_probe(settings.probe, loaded.detectors)
        self.detectors = loaded.detectors
        self.library = Library(loaded.detectors, _folders(settings))
        self._loaded, self._digest = loaded, digest
        self._policy = _policy_of(settings, self._fingerprinter)
        self._inspector = _inspector_of(loaded, settings, self._policy)
        self.metrics.inform("sluice_build_info", version=__version__)
        self._describe(loaded, digest)
        self.pipeline: Pipeline | None = None
        self._ledger: Ledger | None = None
        self._asking: Prober | None = None
        self._fired: Counter[str] = Counter()
        self._told_unfired = time.monotonic()
        self.verdicts = Verdicts(settings.verdicts.most)
        self.reload_asked = asyncio.Event()
        """Set it, and settings and detectors are read again."""
        self._standing_by = False
        self.server = Server(
            self.metrics.expose,
            self._live,
            self.ready,
            {"version": __version__, "catalogue": digest, "detectors": str(len(loaded.detectors))},
            pages.routes(lambda: self.library),
        )

    def _describe(self, loaded: Database, digest: str) -> None:
        self.metrics.inform(
            "sluice_catalogue_info",
            digest=digest,
            detectors=str(len(loaded.detectors)),
            database_bytes=str(loaded.size),
        )
        _log.info(
            "database ready",
            detectors=len(loaded.detectors),
            expressions=len(loaded.patterns),
            bytes=loaded.size,
            digest=digest[:12],
        )

    def _live(self) -> dict[str, bool]:
        late = _LOOP_LATE_SECONDS
        if self.pipeline is None:
            return {"started": True}
        # a pause for slow sinks polls on; only a loop that hangs does not
        polled = min(stage.source.last_poll for stage in self._stages)
        return {"polled": time.monotonic() - polled < late + 20.0}

    @property
    def _stages(self) -> list[Stage]:
        """Those that were made, in the order of the flow."""
        return [stage for stage in (self.pipeline, self._ledger) if stage is not None]

    def ready(self) -> dict[str, bool]:
        """The claims of ``/readyz``."""
        pipeline, stages = self.pipeline, self._stages
        return {
            **({"called": False} if self._standing_by else {}),
            "joined": bool(stages) and all(stage.source.joined for stage in stages),
            "database": True,
            "sinks": bool(stages) and all(stage.sink_reachable for stage in stages),
            "not_draining": pipeline is None or not pipeline.is_stopping,
        }

    def fingerprint(self, secret: bytes) -> str:
        """The fingerprint of a secret under the organisation's key."""
        return self._fingerprinter.secret(Secret(secret))

    async def reload(self, settings: Settings | None = None) -> bool:
        """Takes in changed files and settings: all is proved and compiled aside, in a process of its own, and what is there
        is swapped between two fetches.

        Args:
            settings: that come in with the files; None if they have not changed.

        Returns:
            False where something is wrong: what was there before goes on.
        """
        settings = settings or self.settings
        stamps = _Stamps.of(settings, self._config)
        try:
            prove(settings)
            self._prove_topics(settings)
            loaded, digest = await self._database(settings, stamps)
            prove_probe(settings.probe, loaded.detectors)
            policy = _policy_of(settings, self._fingerprinter)
            fresh = _inspector_of(loaded, settings, policy)
            if policy.rules.topics - self._policy.rules.topics:
                await self._create_topics(settings)
            await self._ask_by(settings.probe, loaded.detectors)
        except (SluiceError, OSError, BrokenExecutor) as error:
            self.metrics.count("sluice_detect_reloads_total", outcome="refused")
            _log.error("not reloaded, what was there before stays", error=str(error))
            return False
        policy.suppression.take_over(self._policy.suppression)
        self._policy, self._inspector, self._stamps = policy, fresh, stamps
        if loaded is not self._loaded:
            self._loaded, self._digest, self.detectors = loaded, digest, loaded.detectors
            self.library = Library(loaded.detectors, _folders(settings))
            self._describe(loaded, digest)
        self.metrics.count("sluice_detect_reloads_total", outcome="taken")
        return True

    async def _database(self, settings: Settings, stamps: _Stamps) -> tuple[Database, str]:
        """The database of the settings' detectors: the one at hand, where neither files nor settings of them have changed."""
        if stamps.detectors == self._stamps.detectors and settings.detect == self.settings.detect:
            return self._loaded, self._digest
        folders, disabled = _folders(settings), settings.detect.disable
        loop = asyncio.get_running_loop()
        # compiling keeps the interpreter's lock; another process does it, and here it is read from the cache
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as aside:
            await loop.run_in_executor(aside, compile_aside, folders, disabled)
        return await loop.run_in_executor(None, load_database, folders, disabled)

    def _prove_topics(self, settings: Settings) -> None:
        """What is subscribed to was fixed at the start; a new topic of ours must not be among it.

        Raises:
            SettingsError: one is.
        """
        consume = self.settings.consume
        for topic in settings.own_topics - self.settings.own_topics:
            if topic in consume.topics or (consume.topic_pattern and re.match(consume.topic_pattern, topic)):
                raise SettingsError(
                    f"rules: {topic} is a topic that is read for events: alerts in it would go round for ever;"
                    " another name expected, or a restart"
                )

    async def _ask_by(self, settings: Probe, detectors: Sequence[Detector]) -> None:
        """Live checks as the settings say: switched on or off, or going on by other settings."""
        if self.pipeline is None:  # not begun: they are made when it is
            return
        former, self._asking = self._asking, self._asking if settings.enabled else None
        if former is not None and not settings.enabled:
            await former.stop()
        elif former is not None:
            await former.take(settings)
        elif settings.enabled:
            fresh = prober(settings, detectors, self.metrics, self._answered)
            await fresh.start()
            self._asking = fresh

    async def reread(self) -> bool:
        """Takes in what SIGHUP asks for: those of the settings that can change while the service runs, and the detectors.

        Returns:
            False where something is wrong: everything stays as it was.
        """
        if self._reread is None:
            return await self.reload()
        outcome = "refused"
        try:
            read = self._reread()
            live, later = changed(self.settings, read)
            fresh = with_live(self.settings, read)
            if await self.reload(fresh):
                self.server.take(fresh.telemetry)
                outcome = "taken"
        except SluiceError as error:
            _log.error("settings not taken in, the former ones stay", error=str(error))
        self.metrics.count("sluice_telemetry_settings_reloads_total", outcome=outcome)
        if outcome == "refused":
            return False
        self.settings = fresh
        for stage in self._stages:
            stage.take(fresh)
        logs.set_level(fresh.telemetry.log_level)
        _log.info("settings taken in", keys=live)
        if later:
            _log.warning("these settings need a restart", keys=later)
        return True

    async def _watch(self) -> None:
        """Reloads when files change, and when :attr:`reload_asked` is set; tells what entries of allow-lists do."""
        before = tried = self._stamps
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.reload_asked.wait(), self.settings.detect.watch_interval_ms / 1000)
            self._tell_fired()
            asked, now = self.reload_asked.is_set(), _Stamps.of(self.settings, self._config)
            self.reload_asked.clear()
            if asked or (now == before and now.config != tried.config):
                tried = self._stamps if await self.reread() else now
            elif now == before and now != tried:  # what was just changed may still be being written
                tried = self._stamps if await self.reload() else now
            before = now

    def _tell_fired(self) -> None:
        """What the entries of allow-lists did since the last time; once a day, which of them did nothing."""
        suppression = self._policy.suppression
        counts: Counter[str] = Counter()
        for entry in suppression.entries:
            counts[entry.named] += suppression.fired[entry.source]
        for name, fired in counts.items():
            before = self._fired[name]
            self.metrics.count("sluice_judge_allow_fired_total", max(0, fired - before), entry=name)
            if fired > before:
                self.metrics.set("sluice_judge_allow_last_fired_timestamp_seconds", time.time(), entry=name)
            elif not fired:
                self.metrics.set("sluice_judge_allow_last_fired_timestamp_seconds", 0, entry=name)
        self._fired = counts
        if time.monotonic() - self._told_unfired >= _UNFIRED_TOLD_SECONDS:
            self._told_unfired = time.monotonic()
            for told in suppression.told():
                _log.warning("an entry of an allow-list", entry=told.entry.source, owner=told.entry.owner, finding=told.clause)

    def _decided(self, record: Record) -> None:
        """Takes in a verdict; what is none is refused, and the ones before it hold on."""
        try:
            self.verdicts.apply(record.key, record.value, record.timestamp / 1000)
        except VerdictError as error:
            self.metrics.count("sluice_publish_verdicts_refused_total")
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            _log.warning("a record is no verdict", error=str(error), **place)
        self.metrics.set("sluice_publish_verdicts", len(self.verdicts))

    def stop(self, leave: bool = False) -> None:
        """Asks the worker to drain and end.

        Args:
            leave: the group, even with a place of its own in it (``kafka.group_instance_id``).
        """
        for stage in self._stages:
            stage.source.leaves = leave
        if self.pipeline is not None:
            self.pipeline.stop()

    async def run(self, called: Callable[[], Awaitable[None]] | None = None) -> None:
        """From joining the group to having left it.

        Args:
            called: is awaited when everything is there, before the group is joined.

        Raises:
            SluiceError: what a user can put right.
        """
        settings = self.settings
        await self.server.start(settings.telemetry)
        decisions = Table(settings, settings.verdicts.topic, self._decided)
        beside: list[asyncio.Task[None]] = []
        try:
            await self._create_topics(settings)
            await decisions.start()
            loop = asyncio.get_running_loop()
            beside += [loop.create_task(self._watch(), name="watch"), loop.create_task(decisions.follow(), name="verdicts")]
            with contextlib.suppress(TimeoutError):  # rather an alert too many than none
                await asyncio.wait_for(decisions.read.wait(), _VERDICTS_SECONDS)
            if called is not None:
                self._standing_by = True
                await called()
                self._standing_by = False
            settings = self.settings  # they may have changed while it stood by
            self.pipeline = Pipeline(
                settings,
                lambda: self._inspector,
                self._fingerprinter,
                self.verdicts,
                self.metrics,
                lambda provider: self.library.knowledge(provider),
                lambda: self._asking.submit if self._asking else None,
                self._rule,
            )
            await self._ask_by(settings.probe, self.detectors)
            loop.run_in_executor(None, self.library.read)
            if settings.repeats.enabled:
                self._ledger = Ledger(settings, self._fingerprinter, self.verdicts, self.metrics, self._rule)
            await self._run_stages(beside)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            if self._asking:
                await self._asking.stop()
            await decisions.stop()
            await self.server.stop()

    def _rule(self, body: Mapping[str, Any], severity: Severity, validity: Validity) -> Ruling:
        """What the rules of now make of an alert, and the next steps where the provider has answered."""
        ruling = self._policy.rules.of_alert(body, severity, validity)
        if validity not in (Validity.active, Validity.inactive) or body["detector"]["id"] not in self.library:
            return ruling
        detector = self.library.detector(body["detector"]["id"])
        place = msgspec.convert(body["location"], Location)
        steps = remediation.steps(detector, place, validity, self.library.knowledge(detector.provider))
        return ruling._replace(steps=tuple(steps))

    def _answered(self, fingerprint: str, validity: Validity, facts: Mapping[str, str], reason: str, at: float) -> None:
        """A provider was asked about a secret."""
        if self.pipeline is not None and not self.pipeline.is_stopping:
            self.pipeline.validity(fingerprint, validity, facts, reason, at)

    async def _create_topics(self, settings: Settings) -> None:
        """What is missing of them; those that are ours alone in any case."""
        ordinary: list[str] = []
        compacted: list[str] = []
        if settings.consume.create_topics:
            ordinary += () if settings.consume.topic_pattern else settings.consume.topics
            ordinary += (settings.publish.topic, settings.dead_letters.topic)
            ordinary += {rule.topic for rule in settings.rules.listed if rule.topic}
            ordinary += (settings.publish.audit_topic,) if settings.publish.audit_topic else ()
            compacted.append(settings.verdicts.topic)
        if settings.repeats.enabled:
            ordinary.append(settings.sightings_topic)
            compacted.append(settings.secrets_topic)
        await source.create_topics(settings, ordinary, compacted)

    async def _run_stages(self, beside: Sequence[asyncio.Task[None]]) -> None:
        """Runs the stages side by side; the later one ends when the earlier has drained, all when one fails.

        Args:
            beside: what goes on as long as they do; fails with a fault of ours alone.
        """
        stages = self._stages
        tasks = [asyncio.get_running_loop().create_task(stage.run(), name=type(stage).__name__) for stage in stages]
        try:
            await asyncio.wait([*tasks, *beside], return_when=asyncio.FIRST_COMPLETED)
            for stage, task in zip(stages, tasks, strict=True):
                stage.stop()
                await asyncio.wait([task])
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        outcomes += [task.exception() for task in beside if task.done() and not task.cancelled()]
        for outcome in outcomes:
            if isinstance(outcome, asyncio.CancelledError):  # by nobody who may: it would pass for an end that was asked for
                raise RuntimeError("a stage was cancelled from within") from outcome
            if isinstance(outcome, BaseException):
                raise outcome

    async def run_until_signalled(self, worker: bool = False, called: Callable[[], Awaitable[None]] | None = None) -> None:
        """As :meth:`run`; SIGTERM and SIGINT drain, the second one ends at once.

        Args:
            worker: the process is one of several: SIGTERM gives up its place in the group, SIGUSR2 leaves it to the next.
            called: see :meth:`run`.
        """
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(crash.of_loop(logs.crashed))
        main = asyncio.current_task()
        asked = 0

        def drain(leave: bool) -> None:
            nonlocal asked
            asked += 1
            if asked == 1 and self.pipeline is not None:
                _log.info("draining")
                self.stop(leave)
            elif main is not None:
                main.cancel()

        def ignore() -> None:
            _log.warning("SIGUSR2 replaces the processes of `sluice run --workers N`; this is a single one")

        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, drain, worker)
        if hasattr(signal, "SIGHUP"):
            loop.add_signal_handler(signal.SIGHUP, self.reload_asked.set)
            loop.add_signal_handler(signal.SIGUSR2, *((drain, False) if worker else (ignore,)))
        with contextlib.suppress(asyncio.CancelledError):
            await self.run(called)


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's, where there is one: a fifth less per record."""
    clients.install()
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    connections.install()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
