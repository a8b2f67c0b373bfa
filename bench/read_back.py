"""Reads a topic from its beginning to its ends, without gaps, and keeps only the first bytes of each value."""

import time

from confluent_kafka import Consumer, TopicPartition


def read_heads(
    bootstrap: str, topic: str, partitions: int, head_bytes: int, idle_seconds: float, **settings: int
) -> list[bytes]:
    """The first `head_bytes` of all values, joined, by partition and offset; `settings` of librdkafka, __ for dots.

    Raises `SystemExit` at a gap, an error, or when nothing comes for `idle_seconds`.
    """
    given = {name.replace("__", "."): value for name, value in settings.items()}
    fixed = {"bootstrap.servers": bootstrap, "group.id": "reading", "enable.auto.commit": False, "log_level": 0}
    consumer = Consumer({**fixed, **given})
    places = [TopicPartition(topic, number, 0) for number in range(partitions)]
    ends = [consumer.get_watermark_offsets(place, timeout=30)[1] for place in places]
    heads = [bytearray() for _ in places]
    consumer.assign(places)
    left, last = sum(ends), time.monotonic()
    while left:
        for message in consumer.consume(5000, 0.5):
            error = message.error()
            if error is not None:
                raise SystemExit(error.str())
            partition, offset = int(message.partition() or 0), int(message.offset() or 0)
            if offset != len(heads[partition]) // head_bytes:
                raise SystemExit(f"partition {partition}: offset {offset} does not follow")
            heads[partition] += (message.value() or b"")[:head_bytes]
            left -= offset < ends[partition]
            last = time.monotonic()
        if time.monotonic() > last + idle_seconds:
            raise SystemExit(f"{left} records do not come")
    consumer.close()
    return [bytes(head) for head in heads]
