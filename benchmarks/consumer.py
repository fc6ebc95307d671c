"""A bare aiokafka consumer that does nothing with its records: ``python -m benchmarks.consumer BROKER TOPIC COUNT VARIANT``.

``untuned`` is what everybody writes first; ``tuned`` has the allocator's thresholds set, uvloop, and ``max_records``.
"""

from __future__ import annotations

import asyncio
import sys
import uuid

from aiokafka import AIOKafkaConsumer

from service import app


async def consume(address: str, topic: str, count: int, tuned: bool) -> None:
    """Takes so many records."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=address, group_id=f"bare-{uuid.uuid4().hex[:8]}", auto_offset_reset="earliest"
    )
    await consumer.start()
    taken = 0
    most = 500 if tuned else None
    while taken < count:
        fetched = await consumer.getmany(timeout_ms=500, max_records=most)
        taken += sum(map(len, fetched.values()))
    await consumer.stop()


if __name__ == "__main__":
    broker, name, number, variant = sys.argv[1:]
    if variant == "tuned":
        app.tune_allocator()
        with asyncio.Runner(loop_factory=app.new_loop) as runner:
            runner.run(consume(broker, name, int(number), True))
    else:
        asyncio.run(consume(broker, name, int(number), False))
