"""What is told of a fault: where it was, never what it was about."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError

from service.telemetry import crash

ROOT = Path(__file__).parent.parent.parent
BEGIN = """
import asyncio, os, sys, threading
from service.telemetry import crash, logs

planted = os.environ["PLANTED"]

class Mine(Exception):
    pass

def burst(record):
    held = {"secret": record}
    try:
        {}[record]
    except KeyError as error:
        raise Mine(f"cannot take {record}") from error
"""
FAULTS = {
    "nobody catches it": "crash.install()\nburst(planted)",
    "in a thread": "crash.install()\nt = threading.Thread(target=burst, args=(planted,), name=planted)\nt.start()\nt.join()",
    "while cleaning up": """
crash.install()
class Held:
    def __del__(self):
        burst(planted)
Held()
""",
    "in a task that nobody awaits": """
async def main():
    asyncio.get_running_loop().set_exception_handler(crash.of_loop(crash.to_stderr))
    async def work(record):
        burst(record)
    task = asyncio.create_task(work(planted), name=planted)
    await asyncio.sleep(0.01)
    del task
asyncio.run(main())
""",
    "in a callback of the loop": """
async def main():
    asyncio.get_running_loop().set_exception_handler(crash.of_loop(crash.to_stderr))
    asyncio.get_running_loop().call_soon(burst, planted)
    await asyncio.sleep(0.01)
asyncio.run(main())
""",
    "several at once": """
crash.install()
errors = []
for _ in range(2):
    try:
        burst(planted)
    except Mine as error:
        errors.append(error)
raise ExceptionGroup(planted, errors)
""",
    "in the log": """
logs.configure("info", "json")
crash.install(logs.crashed)
try:
    burst(planted)
except Mine:
    logs.get("test").exception("it failed")
burst(planted)
""",
}


@pytest.mark.parametrize("how", FAULTS)
def test_kinds_and_places_are_told_and_no_text_and_no_value(how: str, tmp_path: Path) -> None:
    planted = secrets.token_hex(16)
    script = tmp_path / "script.py"
    script.write_text(BEGIN + FAULTS[how])

    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PLANTED": planted, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    told = done.stdout + done.stderr
    assert planted not in told
    for word in ("Mine at", "KeyError at", "led to", "burst", f"{script}:"):
        assert word in told


def test_in_the_log_a_fault_is_one_line(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(BEGIN + FAULTS["in the log"])

    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PLANTED": "x", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["it failed", "a fault in Sluice"]


def test_endless_recursion_is_told_shortly() -> None:
    def deeper(depth: int) -> None:
        deeper(depth + 1)

    try:
        deeper(0)
    except RecursionError as error:
        told = crash.report(error)

    assert len(told) < 50
    assert any("more" in line for line in told)


def test_what_a_broker_refuses_and_nobody_waits_for_is_no_fault() -> None:
    told: list[str] = []
    handler = crash.of_loop(lambda occasion, lines: told.append(occasion))
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        handler(loop, {"message": "Future exception was never retrieved", "exception": KafkaConnectionError()})
        assert not told
        handler(loop, {"message": "Future exception was never retrieved", "exception": ValueError()})
        handler(loop, {"message": "Exception in callback of ours", "exception": KafkaConnectionError()})
    assert len(told) == 2
