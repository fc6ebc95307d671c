"""The service as processes, started from a benchmark."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

from benchmarks.brokers import Broker
from service.sources.embedded_broker import free_port

KEY = "a key for measuring, and only for that"


class Worker:
    """``sluice run`` on a broker.

    Args:
        broker: where.
        environment: further settings, as ``SLUICE_SECTION__KEY``.
    """

    def __init__(self, broker: Broker, environment: dict[str, str]) -> None:
        self._port = free_port()
        given = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": broker.address,
            "SLUICE_KAFKA__SESSION_TIMEOUT_MS": str(broker.session_timeout_ms),
            "SLUICE_KAFKA__HEARTBEAT_INTERVAL_MS": str(broker.session_timeout_ms // 4),
            "SLUICE_CONSUME__DRAIN_TIMEOUT_MS": "5000",
            "SLUICE_FINGERPRINT__KEY": KEY,
            "SLUICE_TELEMETRY__PORT": str(self._port),
            "SLUICE_TELEMETRY__LOG_LEVEL": "error",
            **environment,
        }
        self._process = subprocess.Popen([sys.executable, "-m", "service", "run"], env=given)

    def is_ready(self) -> bool:
        """True once it has joined its groups."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def await_ready(self, seconds: float = 120.0) -> None:
        """Returns once it has joined."""
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError("the service did not become ready")
            time.sleep(0.1)

    def metric(self, name: str, label: str = "") -> float:
        """The sum of a metric over all its labels, or those that hold ``label``; 0 while it cannot be read."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except (urllib.error.URLError, OSError):
            return 0.0
        meant = (line for line in lines if line.partition("{")[0].partition(" ")[0] == name and label in line)
        return sum(float(line.rsplit(" ", 1)[1]) for line in meant)

    def memory(self) -> float:
        """Resident memory in MB; 0 where the system does not say."""
        try:
            with open(f"/proc/{self._process.pid}/statm", encoding="ascii") as statm:
                return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        except OSError:
            return 0.0

    def cpu(self) -> float:
        """CPU seconds so far; 0 where the system does not say."""
        try:
            with open(f"/proc/{self._process.pid}/stat", encoding="ascii") as stat:
                fields = stat.read().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            return 0.0

    def stop(self) -> None:
        """SIGTERM, and waits."""
        self._process.send_signal(signal.SIGTERM)
        if self._process.wait(60):
            raise RuntimeError(f"the service ended with {self._process.returncode}")

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait()
