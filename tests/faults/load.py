"""Producers that never pause while a fault is made; afterwards every topic holds what they were promised, once."""

import contextlib
from collections.abc import Iterator

from tests.cauce.cluster import SteadyProducer, read_all


@contextlib.contextmanager
def load(bootstrap: str, partitions: int, *topics: str) -> Iterator[list[SteadyProducer]]:
    """One idempotent producer (acks=all) a topic, under way. In the end no record was refused, what was acknowledged
    stands at its offset beside what was there before, and nothing else does."""
    already = {topic: read_all(bootstrap, topic, partitions) for topic in topics}
    with contextlib.ExitStack() as stack:
        # A node that is paused answers nothing: whoever asked it asks elsewhere before long.
        impatient = {"socket__timeout__ms": 3000, "request__timeout__ms": 3000, "reconnect__backoff__max__ms": 500}
        producers = [stack.enter_context(SteadyProducer(bootstrap, topic, **impatient)) for topic in topics]
        for producer in producers:
            producer.await_each(range(partitions))
        yield producers
    for topic, producer in zip(topics, producers, strict=True):
        assert producer.refused == []
        assert read_all(bootstrap, topic, partitions) == already[topic] | producer.acknowledged
