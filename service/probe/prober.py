"""Asks providers, beside the stream and never in its way.

Findings are handed in and forgotten: what waits is bounded, the oldest gives way, and what gives way stays ``unchecked``.
A yes is believed only of a check that was seen to refuse a made-up secret of the same shape.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, NamedTuple

from aiohttp.abc import AbstractResolver

from service.probe import answer, request
from service.probe.answer import Outcome
from service.probe.client import Client, Failure
from service.probe.limits import Breaker, Rate
from service.probe.network import Network
from service.records import Confidence, Detector, Finding, Secret, Validity
from service.settings import Probe
from service.telemetry import logs
from service.telemetry.metrics import Metrics

_log = logs.get("probe")

OnResult = Callable[[str, Validity, Mapping[str, str], str, float], None]
"""Called with the fingerprint, what the provider says, harmless facts, the reason, a clause for people, and when the provider
was asked, in seconds since the epoch."""

CANARY_ACCOUNTS: Final = frozenset(
    (
        *("052310077262", "171436882533", "534261010715", "595918472158", "717712589309", "730335385048", "819147034852"),
        *("992382622183", "266735846894"),  # those, of Thinkst's canary tokens; the rest, of services that work alike
        *("044858866125", "251535659677", "344043088457", "351906852752", "390477818340", "426127672474", "427150556519"),
        *("439872796651", "445142720921", "465867158099", "637958123769", "693412236332", "732624840810", "735421457923"),
        *("959235150393", "982842642351"),
    )
)
"""AWS accounts whose keys are tripwires: a call with one of them raises the alarm of whoever laid it out."""

_LASTS_SECONDS: Final = {Validity.active: 3600.0, Validity.inactive: 86_400.0, Validity.unknown: 600.0}
_CONTROL_SECONDS: Final = {"refused": 3600.0, "accepted": 3600.0, "unavailable": 300.0}
TELL_AGAIN_SECONDS: Final = 60.0
"""A remembered outcome is told at most so often while its secret goes on leaking."""
_TRIES: Final = 50


_NOT_ASKED: Final = frozenset(("companion_missing", "companion_refused", "secret_refused", "endpoint_unset"))
"""Reasons for which nobody was asked: the secret stays ``unchecked``."""


class _Job(NamedTuple):
    detector: Detector
    secret: Secret
    companions: Mapping[str, Secret]
    fingerprint: str

    @property
    def key(self) -> str:
        """The same for what would be asked alike; a companion more makes another question of it."""
        return " ".join((self.fingerprint, self.detector.id, *sorted(self.companions)))


class _Known:
    """An outcome that is remembered: until when, when it was asked for (the world's clock), and when it may be told again."""

    __slots__ = ("asked", "outcome", "quiet", "until")

    def __init__(self, outcome: Outcome, asked: float, until: float, quiet: float) -> None:
        self.outcome, self.asked, self.until, self.quiet = outcome, asked, until, quiet


class _Lane:
    """What belongs to one provider: what waits, what is under way, and how it behaves."""

    def __init__(self, settings: Probe, clock: Callable[[], float]) -> None:
        self.waiting: deque[_Job] = deque()
        self.running = 0
        self.rate = Rate(settings.rate_per_provider, clock)
        self.breaker = Breaker(settings.breaker_failures, settings.breaker_open_ms / 1000, clock)


def _companions(finding: Finding) -> dict[str, Secret]:
    """What was found beside a secret, by name: the first of each."""
    return {part.name: part.secret for part in reversed(finding.parts)}


async def _ended(network: Network | None, tasks: Iterable[asyncio.Task[None]]) -> None:
    """Closes a network once the tasks that use it are over."""
    await asyncio.gather(*tasks, return_exceptions=True)
    if network is not None:
        await network.close()


class Prober:
    """The live checks of one process.

    Args:
        settings: the section ``[probe]``.
        metrics: the process's.
        on_result: is told each outcome, in the loop.
        made_up: makes a secret of a detector's shape that nobody owns.
        facts_of: harmless facts that a value holds in clear, such as the account of an AWS key id.
        clock: seconds, never going back.
        now: seconds since the epoch.
        sleep: ``asyncio.sleep``, or a test's.
        resolver: resolves names; the system's if None.
    """

    def __init__(
        self,
        settings: Probe,
        metrics: Metrics,
        on_result: OnResult,
        made_up: Callable[[Detector], bytes],
        facts_of: Callable[[bytes], Mapping[str, str]] = lambda value: {},
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._on_result = on_result
        self._made_up = made_up
        self._facts_of = facts_of
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._resolver = resolver
        self._least = Confidence(settings.min_confidence).rank
        self._canaries = CANARY_ACCOUNTS | frozenset(settings.canary_accounts)
        self._lanes: OrderedDict[str, _Lane] = OrderedDict()
        self._waiting: OrderedDict[str, _Job] = OrderedDict()
        self._asked: set[str] = set()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._controls: dict[str, tuple[float, str]] = {}
        self._controlling: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending: set[asyncio.Task[None]] = set()
        """What waits for the end of what goes by former settings."""
        self._network: Network | None = None
        self._client: Client | None = None

    async def start(self) -> None:
        """Opens the way out. Before it, and after :meth:`stop`, nothing is asked."""
        self._network = Network(self._settings, self._resolver)
        self._client = Client(self._network, self._settings.attempts, self._metrics, self._sleep)

    async def stop(self) -> None:
        """Forgets what waits, ends what is under way."""
        self._client = None
        self._waiting.clear()
        self._lanes.clear()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._ending, return_exceptions=True)
        if self._network is not None:
            await self._network.close()

    async def take(self, settings: Probe) -> None:
        """Goes by other settings from now on. What is under way ends by the former; what waits is asked by the new ones, or is
        not asked any more.

        Raises:
            SettingsError: a file of certificates cannot be read; nothing has changed then.
        """
        former = self._settings
        if settings == former:
            return
        network = Network(settings, self._resolver) if self._client is not None else None
        self._settings = settings
        self._least = Confidence(settings.min_confidence).rank
        self._canaries = CANARY_ACCOUNTS | frozenset(settings.canary_accounts)
        if settings.endpoints != former.endpoints:  # what others said of a secret says nothing of these
            self._known.clear()
            self._controls.clear()
        for lane in self._lanes.values():
            lane.rate.pace(settings.rate_per_provider)
            lane.breaker.limit(settings.breaker_failures, settings.breaker_open_ms / 1000)
        for job in [job for job in self._waiting.values() if not self._is_chosen(job.detector)]:
            self._give_up(job, "not_chosen")
        while len(self._waiting) > settings.max_waiting:
            self._give_up(next(iter(self._waiting.values())), "queue_full")
        if network is not None:
            old, self._network = self._network, network
            self._client = Client(network, settings.attempts, self._metrics, self._sleep)
            ending = asyncio.get_running_loop().create_task(_ended(old, list(self._tasks)), name="former network")
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            self._go_on()

    @property
    def waiting(self) -> int:
        """How many wait to be asked."""
        return len(self._waiting)

    def submit(self, finding: Finding, fingerprint: str) -> None:
        """Hands in a finding that won over those it overlaps. Returns at once; :data:`OnResult` is called later, or never."""
        detector = finding.candidate.detector
        skipped = self._skipped(finding, detector)
        job = _Job(detector, finding.candidate.secret, _companions(finding), fingerprint)
        if skipped is None and (job.key in self._waiting or job.key in self._asked):
            skipped = "under_way"
        if skipped is not None:
            self._metrics.count("sluice_probe_skipped_total", reason=skipped)
            return
        if (known := self._remembered(job.key)) is not None:
            self._metrics.count("sluice_probe_skipped_total", reason="remembered")
            if self._clock() >= known.quiet:
                known.quiet = self._clock() + TELL_AGAIN_SECONDS
                self._told(fingerprint, known)
            return
        if len(self._waiting) >= self._settings.max_waiting:
            self._give_up(next(iter(self._waiting.values())), "queue_full")
        self._waiting[job.key] = job
        lane = self._lane(detector)
        lane.waiting.append(job)
        self._begin(lane)

    def _skipped(self, finding: Finding, detector: Detector) -> str | None:
        if self._client is None:
            return "stopped"
        if detector.live is None:
            return "no_check"
        if not self._is_chosen(detector):
            return "not_chosen"
        if finding.confidence.rank < self._least:
            return "low_confidence"
        if self._is_canary(finding.candidate.secret, _companions(finding), finding.facts):
            return "canary"
        return None

    def _is_chosen(self, detector: Detector) -> bool:
        names = {detector.id, detector.provider}
        only, skip = set(self._settings.only), set(self._settings.skip)
        return bool(not only or names & only) and not names & skip

    def _give_up(self, job: _Job, reason: str) -> None:
        """What waits stays unchecked."""
        del self._waiting[job.key]
        self._lane(job.detector).waiting.remove(job)
        self._metrics.count("sluice_probe_skipped_total", reason=reason)

    def _is_canary(self, secret: Secret, companions: Mapping[str, Secret], facts: Mapping[str, str] | None = None) -> bool:
        told = set((facts or {}).values())
        for value in (secret, *companions.values()):
            told |= set(self._facts_of(value.reveal()).values())
        return bool(told & self._canaries)

    def _lane(self, detector: Detector) -> _Lane:
        lane = self._lanes.get(detector.provider)
        if lane is None:
            lane = self._lanes[detector.provider] = _Lane(self._settings, self._clock)
        return lane

    def _begin(self, lane: _Lane) -> None:
        """Begins as much of a lane as may be under way."""
        settings = self._settings
        while lane.waiting and lane.running < settings.concurrency_per_provider and len(self._tasks) < settings.concurrency:
            job = lane.waiting.popleft()
            del self._waiting[job.key]
            self._asked.add(job.key)
            lane.running += 1
            task = asyncio.get_running_loop().create_task(self._run(job, lane), name="probe")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._metrics.set("sluice_probe_waiting", len(self._waiting))

    def _go_on(self) -> None:
        """Begins what waits, one lane after the other: the one that had a turn comes last."""
        for provider, lane in list(self._lanes.items()):
            if lane.waiting and len(self._tasks) < self._settings.concurrency:
                self._begin(lane)
                self._lanes.move_to_end(provider)
        self._metrics.set("sluice_probe_breakers_open", sum(lane.breaker.is_open for lane in self._lanes.values()))

    async def _run(self, job: _Job, lane: _Lane) -> None:
        try:
            asked = self._now()
            outcome = await self.check(job.detector, job.secret, job.companions)
            known = self._remember(job.key, outcome, asked)
            if outcome.reason in _NOT_ASKED:
                self._metrics.count("sluice_probe_skipped_total", reason=outcome.reason)
                return
            self._metrics.count("sluice_probe_results_total", provider=job.detector.provider, validity=outcome.validity.value)
            if outcome.validity is Validity.unknown:
                self._metrics.count("sluice_probe_unknown_total", reason=outcome.reason)
            _log.info(
                "asked",
                detector=job.detector.id,
                fingerprint=job.fingerprint,
                validity=outcome.validity.value,
                reason=outcome.reason,
            )
            self._told(job.fingerprint, known)
        finally:
            self._asked.discard(job.key)
            lane.running -= 1
            if (task := asyncio.current_task()) is not None:
                self._tasks.discard(task)
            if self._client is not None:
                self._go_on()

    def _told(self, fingerprint: str, known: _Known) -> None:
        outcome = known.outcome
        if outcome.reason in _NOT_ASKED:
            return
        self._on_result(fingerprint, outcome.validity, outcome.facts, answer.REASONS[outcome.reason], known.asked)

    async def check(self, detector: Detector, secret: Secret, companions: Mapping[str, Secret]) -> Outcome:
        """Asks now, whatever was asked before. Never raises: what goes wrong makes the outcome ``unknown``."""
        if detector.live is None:
            return Outcome(Validity.unknown, "no_check")
        if self._is_canary(secret, companions):
            return Outcome(Validity.unknown, "canary")
        began = self._clock()
        try:
            outcome = await self._ask(detector, secret, companions)
            if outcome.validity is Validity.active:
                seen = await self._control(detector, secret, companions)
                if seen != "refused":
                    reason = "control_failed" if seen == "accepted" else "control_unavailable"
                    outcome = Outcome(Validity.unknown, reason)
        except Exception as error:  # noqa: BLE001 - a fault in one check is no reason to end the service
            _log.error("live check failed", detector=detector.id, error=type(error).__name__)
            outcome = Outcome(Validity.unknown, "fault")
        self._metrics.observe("sluice_probe_seconds", self._clock() - began)
        return outcome

    async def _ask(self, detector: Detector, secret: Secret, companions: Mapping[str, Secret]) -> Outcome:
        """Asks each host of the provider until one knows the secret; inactive only if all refuse it."""
        live, client = detector.live, self._client
        if live is None or client is None:
            return Outcome(Validity.unknown, "fault")
        try:
            asked = request.requests(live, secret, companions, self._settings.endpoints)
        except request.UnaskableError as error:
            return Outcome(Validity.unknown, error.reason)
        lane = self._lane(detector)
        raw = [secret.reveal(), *(value.reveal() for value in companions.values())]
        outcome = Outcome(Validity.unknown, "fault")
        unknown = None
        for one in asked:
            reply = await client.ask(one, lane.rate, lane.breaker)
            outcome = Outcome(Validity.unknown, reply.reason) if isinstance(reply, Failure) else answer.read(live, reply, raw)
            if outcome.validity is Validity.active:
                return outcome
            if outcome.validity is Validity.unknown:
                unknown = unknown or outcome
        return unknown or outcome

    async def _control(self, detector: Detector, secret: Secret, companions: Mapping[str, Secret]) -> str:
        """``refused`` if a made-up secret is seen refused, ``accepted``, or ``unavailable``; remembered for a while."""
        async with self._controlling.setdefault(detector.id, asyncio.Lock()):
            known = self._controls.get(detector.id)
            if known is not None and self._clock() < known[0]:
                return known[1]
            outcome = await self._ask(detector, self._like(detector, secret), companions)
            seen = {Validity.inactive: "refused", Validity.active: "accepted"}.get(outcome.validity, "unavailable")
            if outcome.reason == "unsure":
                seen = "refused"
            self._metrics.count("sluice_probe_controls_total", outcome=seen)
            self._controls[detector.id] = (self._clock() + _CONTROL_SECONDS[seen], seen)
            return seen

    def _like(self, detector: Detector, secret: Secret) -> Secret:
        """A made-up secret that is asked where the real one was."""
        made = self._made_up(detector)
        live = detector.live
        if live is None or not live.part:
            return Secret(made)
        real = re.fullmatch(live.part.encode(), secret.reveal())
        for _ in range(_TRIES):
            fake = re.fullmatch(live.part.encode(), made)
            if fake and real:
                host = "{part}" in live.origin
                return Secret(made[: fake.start(1)] + (real if host else fake)[1] + made[fake.end(1) :])
            made = self._made_up(detector)
        return Secret(made)

    def _remembered(self, key: str) -> _Known | None:
        found = self._known.get(key)
        if found is not None and self._clock() >= found.until:
            del self._known[key]
            return None
        return found

    def _remember(self, key: str, outcome: Outcome, asked: float) -> _Known:
        now = self._clock()
        known = _Known(outcome, asked, now + _LASTS_SECONDS[outcome.validity], now + TELL_AGAIN_SECONDS)
        self._known[key] = known
        self._known.move_to_end(key)
        while len(self._known) > self._settings.max_remembered:
            self._known.popitem(last=False)
        return known
