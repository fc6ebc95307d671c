"""What is looked through: source files of this machine's Python, and log lines as services write them.

Nothing is kept in the tree and nothing is fetched: files are the standard library and the installed packages, log lines are
made from a seed. The lines are full of what only looks like a secret (UUIDs, trace ids, digests, base64, session ids).
"""

from __future__ import annotations

import base64
import random
import sysconfig
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

KINDS: Final = ("source", "logs")

_SUFFIXES: Final = frozenset(
    (
        ".py",
        ".pyi",
        ".c",
        ".h",
        ".js",
        ".ts",
        ".json",
        ".toml",
        ".yaml",
        ".yml",
        ".md",
        ".txt",
        ".rst",
        ".html",
        ".css",
        ".cfg",
        ".sh",
    )
)
_MOST_FILE_BYTES: Final = 1024 * 1024
_SERVICES: Final = ("checkout", "billing", "catalogue", "identity", "gateway", "search", "mailer", "ledger", "inventory")
_LEVELS: Final = ("INFO", "INFO", "INFO", "DEBUG", "WARN", "ERROR")
_PATHS: Final = ("/api/v1/orders/", "/api/v2/users/", "/healthz", "/assets/app.", "/login", "/search?q=red+shoes&page=")
_CLASSES: Final = ("OrderService", "TokenCache", "SessionStore", "PaymentGateway", "UserRepository", "KeyRotation")


@cache
def source(most_bytes: int = 128 * 1024 * 1024) -> tuple[bytes, ...]:
    """The text files of the standard library and of the environment's packages, each once, at most so many bytes.

    What else is installed beside the standard library is left out: it differs from machine to machine.

    Returns:
        The contents, in a stable order.
    """
    found = []
    size = 0
    folders = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib")]
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            beside = folder == folders[0] and "site-packages" in path.parts
            if beside or path.suffix not in _SUFFIXES or not path.is_file():
                continue
            data = path.read_bytes()
            if 0 < len(data) <= _MOST_FILE_BYTES:
                found.append(data)
                size += len(data)
                if size >= most_bytes:
                    return tuple(found)
    return tuple(found)


@cache
def logs(most_bytes: int = 32 * 1024 * 1024, seed: int = 1) -> tuple[bytes, ...]:
    """Log lines, each with its line break, of so many bytes in all."""
    found = []
    size = 0
    for line in _lines(random.Random(seed)):
        found.append(line)
        size += len(line)
        if size >= most_bytes:
            return tuple(found)
    raise AssertionError("lines are endless")


def cut(texts: tuple[bytes, ...], size: int) -> list[bytes]:
    """The texts, run together and cut into records of so many bytes."""
    whole = b"".join(texts)
    return [whole[at : at + size] for at in range(0, len(whole), size)]


def of_kind(kind: str) -> tuple[bytes, ...]:
    """The corpus of this name.

    Raises:
        KeyError: there is none.
    """
    return {"source": source, "logs": logs}[kind]()


def _lines(rng: random.Random) -> Iterator[bytes]:
    def digits(count: int) -> str:
        return f"{rng.getrandbits(4 * count):0{count}x}"

    def uid() -> str:
        return str(uuid.UUID(int=rng.getrandbits(128), version=4))

    def blob(size: int) -> str:
        return base64.b64encode(rng.randbytes(size)).decode()

    while True:
        second, milli = rng.randrange(86_400), rng.randrange(1000)
        time = f"2026-03-{1 + second % 28:02d}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.{milli:03d}Z"
        service, level = rng.choice(_SERVICES), rng.choice(_LEVELS)
        path = f"{rng.choice(_PATHS)}{rng.randrange(99_999)}"
        address = f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(256)}"
        took = f"{rng.random() * 400:.2f}"
        kind = rng.randrange(10)
        if kind == 0:
            line = (
                f'{address} - - [{time}] "GET {path} HTTP/1.1" {rng.choice((200, 200, 304, 404))} {rng.randrange(90_000)}'
                f' "https://shop.acme.example/" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36" rt={took}'
            )
        elif kind == 1:
            line = (
                f'{{"time":"{time}","level":"{level}","service":"{service}","msg":"request handled","trace_id":"{digits(32)}",'
                f'"span_id":"{digits(16)}","path":"{path}","duration_ms":{took},"request_id":"{uid()}"}}'
            )
        elif kind == 2:
            line = f"{time} {level} [{service}] session {blob(24)} of user {rng.randrange(10**6)} renewed from {address}"
        elif kind == 3:
            line = f"{time} {service} pulled image registry.acme.example/{service}@sha256:{digits(64)} in {took}ms"
        elif kind == 4:
            line = f"{time} {level} {service} commit {digits(40)} deployed by pipeline {rng.randrange(10**6)} (build {uid()})"
        elif kind == 5:
            line = (
                f"{time} ERROR {service} com.acme.{service}.{rng.choice(_CLASSES)} - order {uid()} failed:"
                f" java.lang.IllegalStateException: no key {rng.randrange(10**6)} in token cache"
                f" at com.acme.{service}.{rng.choice(_CLASSES)}.load({rng.choice(_CLASSES)}.java:{rng.randrange(900)})"
            )
        elif kind == 6:
            line = (
                f"level={level.lower()} ts={time} caller=consumer.go:{rng.randrange(900)} msg=batch"
                f" payload={blob(rng.randrange(24, 160))}"
            )
        elif kind == 7:
            line = f'{time} {service} set-cookie: sid={blob(18)}; Path=/; HttpOnly etag="{digits(32)}" x-request-id: {uid()}'
        elif kind == 8:
            line = (
                f"<134>1 {time} node-{rng.randrange(40)} {service} {rng.randrange(30_000)} - - query took {took} ms"
                f" rows={rng.randrange(500)} plan={digits(12)}"
            )
        else:
            line = (
                f"{time} {level} [{service}] cache key user:{uid()}:profile hit={rng.choice(('true', 'false'))}"
                f" size={rng.randrange(9000)} md5={digits(32)}"
            )
        yield line.encode() + b"\n"
