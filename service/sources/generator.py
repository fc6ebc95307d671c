"""Makes realistic code and log events, with a leak among them now and then: what the demo and the benchmarks look at.

Events are rendered once and drawn from a pool, so that making them costs next to nothing beside looking through them.
"""

from __future__ import annotations

import base64
import json
import math
import random
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

MakeSecret = Callable[[random.Random], tuple[str, str]]
"""Gives a line that holds a made-up secret, and the name of its type."""

_PATHS: Final = (
    "/api/v1/orders",
    "/api/v1/users/{n}",
    "/health",
    "/assets/app.{h}.js",
    "/login",
    "/search?q=red+shoes&page={n}",
)
_AGENTS: Final = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
    "okhttp/4.12.0",
    "python-requests/2.32.3",
    "kube-probe/1.31",
)
_SERVICES: Final = ("checkout", "billing", "catalogue", "identity", "gateway", "search", "mailer")
_REPOSITORIES: Final = ("acme/shop", "acme/infrastructure", "acme/mobile", "acme/data-pipeline")
_FILES: Final = (
    "src/settings.py",
    "deploy/values.yaml",
    "lib/client.go",
    ".github/workflows/release.yml",
    "config/app.properties",
)
_AUTHORS: Final = (
    ("Ada Lindqvist", "ada@acme.example"),
    ("Ravi Menon", "ravi@acme.example"),
    ("Noor Haddad", "noor@acme.example"),
)
_CODE: Final = (
    "def connect(url: str, timeout: float = 5.0) -> Client:",
    "    return Client(url, timeout=timeout, retries=3)",
    "import logging",
    "log = logging.getLogger(__name__)",
    "replicas: 3",
    "image: registry.acme.example/shop:{h}",
    "const items = await fetchItems(page, {{ limit: 50 }});",
    'if err != nil {{ return fmt.Errorf("load %s: %w", name, err) }}',
    "# the cache is warm after the first request",
)


class Made(NamedTuple):
    """A record to be produced. ``leak`` names the type of the secret in it, None for a clean one."""

    topic: str
    key: bytes
    value: bytes
    leak: str | None


class Generator:
    """Draws records for ever.

    Args:
        make_secret: makes what leaks.
        leak_ratio: how many records in one hold a leak.
        seed: the same seed, the same records (but for their times).
        pool: how many clean records are rendered.
    """

    def __init__(self, make_secret: MakeSecret, leak_ratio: float = 0.0005, seed: int = 1, pool: int = 2000) -> None:
        self._rng = random.Random(seed)
        self._make_secret = make_secret
        self._leak_ratio = leak_ratio
        self._pool = [self._clean() for _ in range(pool)]

    def records(self, count: int) -> list[Made]:
        """The next records."""
        rng = self._rng
        drawn = rng.choices(self._pool, k=count)
        for index in self._leaking(count):
            drawn[index] = self._leak()
        return drawn

    def _leaking(self, count: int) -> Iterator[int]:
        if self._leak_ratio <= 0:
            return
        if self._leak_ratio >= 1:
            yield from range(count)
            return
        rate = -math.log1p(-self._leak_ratio)  # between two leaks lie geometrically many records
        at = int(self._rng.expovariate(rate))
        while at < count:
            yield at
            at += 1 + int(self._rng.expovariate(rate))

    def _clean(self) -> Made:
        return self._log(self._line()) if self._rng.random() < 0.7 else self._code(self._lines(), None)

    def _leak(self) -> Made:
        rng = self._rng
        line, name = self._make_secret(rng)
        kind = rng.randrange(6)
        if kind == 0:
            return self._code([*self._lines(), line, *self._lines()], name)
        if kind == 1:
            return self._code([*self._lines(), line], name, patch=True)
        if kind == 2:
            packed = base64.b64encode(line.encode()).decode()
            return self._log(f"config loaded blob={packed} size={len(packed)}", name)
        if kind == 3:
            return self._log(json.dumps({"event": "request", "headers": {"x-debug": line}, "status": 500}), name)
        if kind == 4:
            return self._log(
                f'Traceback (most recent call last):\n  File "app.py", line 42, in call\nValueError: bad {line}', name
            )
        return self._log(f"{self._line()} {line}", name)

    def _hex(self, digits: int) -> str:
        return f"{self._rng.getrandbits(4 * digits):0{digits}x}"

    def _time(self) -> str:
        return (datetime.now(UTC) - timedelta(seconds=self._rng.random() * 5)).isoformat(timespec="milliseconds")

    def _line(self) -> str:
        rng = self._rng
        trace, span = self._hex(32), self._hex(16)
        path = rng.choice(_PATHS).format(n=rng.randrange(9999), h=self._hex(8))
        address = f"10.{rng.randrange(255)}.{rng.randrange(255)}.{rng.randrange(255)}"
        request = uuid.UUID(int=rng.getrandbits(128), version=4)
        return rng.choice(
            (
                f'{address} - - "GET {path} HTTP/1.1" 200 {rng.randrange(90000)} "-" "{rng.choice(_AGENTS)}"',
                f"level=info msg=handled path={path} trace_id={trace} span_id={span} duration={rng.random() * 90:.1f}ms",
                f"request {request} user={rng.randrange(99999)} finished in {rng.randrange(900)} ms sha256={self._hex(64)}",
                f"query took {rng.randrange(900)} ms rows={rng.randrange(500)} plan={self._hex(12)}",
                f"session {base64.urlsafe_b64encode(rng.randbytes(24)).decode()} renewed for {address}",
            )
        )

    def _lines(self) -> list[str]:
        return [self._rng.choice(_CODE).format(h=self._hex(10)) for _ in range(self._rng.randrange(4, 14))]

    def _log(self, message: str, leak: str | None = None) -> Made:
        rng = self._rng
        service, host, time = rng.choice(_SERVICES), f"node-{rng.randrange(40):02d}", self._time()
        documents: tuple[dict[str, Any], ...] = (
            {"type": "log", "time": time, "source": f"/var/log/{service}.log", "host": host, "message": message},
            {
                "@timestamp": time,
                "@metadata": {"beat": "filebeat", "type": "_doc", "version": "9.1.2"},
                "agent": {"name": host, "type": "filebeat"},
                "log": {"file": {"path": f"/var/log/{service}/app.log"}, "offset": rng.randrange(10**7)},
                "message": message,
            },
            {
                "@timestamp": rng.randrange(1_700_000_000, 1_800_000_000) + 0.25,
                "log": message,
                "kubernetes": {"pod_name": f"{service}-{self._hex(10)}", "namespace_name": "shop", "host": host},
            },
            {"timestamp": time, "source_type": "file", "file": f"/var/log/{service}.log", "host": host, "message": message},
            {
                "resourceLogs": [
                    {
                        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
                        "scopeLogs": [
                            {"logRecords": [{"timeUnixNano": "1780000000000000000", "body": {"stringValue": message}}]}
                        ],
                    }
                ]
            },
        )
        value = json.dumps(rng.choice(documents), separators=(",", ":")).encode()
        return Made("sluice.events", host.encode(), value, leak)

    def _code(self, lines: list[str], leak: str | None, patch: bool = False) -> Made:
        rng = self._rng
        name, email = rng.choice(_AUTHORS)
        repository, commit = rng.choice(_REPOSITORIES), self._hex(40)
        path = rng.choice(_FILES)
        document: dict[str, Any] = {
            "type": "code",
            "time": self._time(),
            "repository": repository,
            "ref": "refs/heads/main",
            "commit": commit,
            "path": path,
            "author": {"name": name, "email": email},
            "url": f"https://git.acme.example/{repository}/blob/{commit}/{path}",
        }
        if patch:
            start = rng.randrange(1, 200)
            document["patch"] = (
                f"@@ -{start},2 +{start},{len(lines) + 2} @@\n unchanged\n"
                + "\n".join(f"+{line}" for line in lines)
                + "\n end\n"
            )
        else:
            document["content"] = "\n".join(lines) + "\n"
            document["start_line"] = rng.randrange(1, 300)
        return Made("sluice.events", repository.encode(), json.dumps(document).encode(), leak)
