"""The seccomp profile lets the service do all that it does, and little else."""

import asyncio
import ctypes.util
import json
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.brokers import EmbeddedBroker
from service.sources.embedded_broker import free_port
from tests.conftest import missing, started
from tests.integration.test_stream import produce, read

FILE = Path(__file__).parents[2] / "deploy" / "seccomp.json"
PROFILE: dict[str, Any] = json.loads(FILE.read_text())
DANGEROUS = {
    *("ptrace", "process_vm_readv", "process_vm_writev", "kexec_load", "init_module", "finit_module", "delete_module", "bpf"),
    *("mount", "umount2", "pivot_root", "chroot", "setns", "unshare", "keyctl", "add_key", "request_key", "perf_event_open"),
    *("userfaultfd", "open_by_handle_at", "io_uring_setup", "io_uring_enter", "io_uring_register", "swapon", "reboot"),
    *("settimeofday", "clock_settime", "adjtimex", "acct", "syslog", "quotactl", "personality", "mknod", "mknodat"),
    *("setuid", "setgid", "setresuid", "setresgid", "setgroups", "capset", "iopl", "ioperm", "vmsplice", "move_pages"),
}


def named(action: str) -> set[str]:
    return {name for rule in PROFILE["syscalls"] if rule["action"] == action for name in rule["names"]}


def test_what_is_not_named_is_refused() -> None:
    assert PROFILE["defaultAction"] == "SCMP_ACT_ERRNO"
    assert {entry["architecture"] for entry in PROFILE["archMap"]} == {"SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"}
    assert not named("SCMP_ACT_ALLOW") & DANGEROUS


def test_names_are_in_order_and_once() -> None:
    for rule in PROFILE["syscalls"]:
        assert rule["names"] == sorted(set(rule["names"]))


async def test_the_service_runs_under_it_and_asks_for_nothing_else(unique: str, tmp_path: Path) -> None:
    """Start, leaks, dead letters, a reload, a replacement of the workers, a crash, the end."""
    if shutil.which("strace") is None or ctypes.util.find_library("seccomp") is None:
        missing("strace or libseccomp is missing: make tools")
    told, port = tmp_path / "calls", free_port()
    with EmbeddedBroker() as broker:
        environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": broker.address,
            "KAFKA_GROUP_ID": f"group-{unique}",
            "SLUICE_KAFKA__SESSION_TIMEOUT_MS": "6000",
            "SLUICE_KAFKA__HEARTBEAT_INTERVAL_MS": "1500",
            "SLUICE_KAFKA__IDEMPOTENCE": "false",
            "SLUICE_CONSUME__DRAIN_TIMEOUT_MS": "3000",
            "SLUICE_CONSUME__TOPICS": f"events-{unique}",
            "SLUICE_PUBLISH__TOPIC": f"alerts-{unique}",
            "SLUICE_FINGERPRINT__KEY": "a key for tests, and only for them",
            "SLUICE_TELEMETRY__PORT": str(port),
        }
        command = ["strace", "-D", "-f", "-qq", "-c", "-S", "name", "-o", str(told)]
        command += [sys.executable, str(Path(__file__).parent / "confined.py"), str(FILE)]
        log = tmp_path / "log"
        process = started([*command, sys.executable, "-m", "service", "run", "--workers", "2"], log, env=environment)

        async def until(holds: Any) -> None:
            deadline = time.monotonic() + 240
            while not await holds():
                assert time.monotonic() < deadline, log.read_text()
                assert process.poll() is None, log.read_text()
                await asyncio.sleep(0.3)

        async def is_ready() -> bool:
            try:
                async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        def seen(event: str, times: int) -> Any:
            async def is_seen() -> bool:
                return log.read_text().count(f'"event": "{event}"') >= times

            return is_seen

        try:
            await until(is_ready)
            made = ["gh" + "p_" + "".join(chr(97 + (number * 7 + at) % 26) for at in range(36)) for number in range(3)]
            await produce(broker, f"events-{unique}", [b"TOKEN=%s" % value.encode() for value in made] * 200)
            process.send_signal(signal.SIGHUP)
            await until(seen("settings taken in", 2))
            process.send_signal(signal.SIGUSR2)
            await until(seen("all workers replaced", 1))
            pid = int(re.findall(r'"pid": (\d+)', log.read_text())[-1])
            os.kill(pid, signal.SIGKILL)
            await until(seen("worker ended, starting it again", 1))
            await until(is_ready)
            await read(broker, f"alerts-{unique}", 0, 2.0)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(90) == 0, log.read_text()
        deadline = time.monotonic() + 30
        while not (told.exists() and "total" in told.read_text()):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)

    calls = {line.split()[-1] for line in told.read_text().splitlines()[2:-2]} - {"seccomp"}
    assert len(calls) > 60, "the trace has seen the run"
    others = calls - named("SCMP_ACT_ALLOW") - named("SCMP_ACT_ERRNO")
    assert not others, f"not in deploy/seccomp.json: {sorted(others)}"
