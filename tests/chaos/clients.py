"""The clients of a chaos run: two producers, consumers by assign and by subscribe, on librdkafka and on aiokafka."""

import time

from tests.chaos.aio_readers import AioMember, AioReader
from tests.chaos.readers import Member, Reader, read_to_end
from tests.chaos.score import Score
from tests.chaos.topics import SHARED, TOPICS, Passing
from tests.chaos.writers import Writer

_CATCH_UP_SECONDS = 90.0
_LAST_POLL_SECONDS = 240.0
_CLOSE_SECONDS = 30.0
_LINGER_SECONDS = 3.0  # the last poll goes on for so long after everything came to its end


class Clients:
    """Started together; stopped in order: first who writes, then who reads."""

    def __init__(self, bootstrap: str, score: Score, rate: float) -> None:
        """`rate`: records a second, about."""
        self._brokers = bootstrap
        self._score = score
        places = [place for topic in TOPICS for place in topic.places]
        each = rate / 3.5  # operations of 1.75 records by two producers
        self._passing = Passing(bootstrap, score)
        self._writing = [
            Writer(bootstrap, places, score, name="patient", rate=each, lives=1e6),
            Writer(bootstrap, places, score, name="restless", rate=each, lives=12),
            self._passing,
        ]
        self._groups = {
            "librdkafka": [Member(bootstrap, "chaos-c", SHARED, score, name=f"c-{number}") for number in range(2)],
            "aiokafka": [AioMember(bootstrap, "chaos-a", SHARED, score, name=f"a-{number}") for number in range(2)],
        }
        self._reading = [
            Reader(bootstrap, TOPICS, score, name="reader"),
            AioReader(bootstrap, TOPICS, score, name="aio-reader"),
            *(member for members in self._groups.values() for member in members),
        ]

    def start(self) -> None:
        """All of them."""
        for thread in (*self._writing, *self._reading):
            thread.start()

    def finish(self) -> None:
        """On a cluster that is well: every record gets its answer, groups come to the end, everything is read once
        more from the beginning."""
        self._score.stopping.set()
        for thread in self._writing:
            thread.join()
        self._await_groups()
        self._score.read.set()
        for thread in self._reading:
            thread.join(_CLOSE_SECONDS)
            if thread.is_alive():  # librdkafka's close can wait for ever, with its member long gone from the group
                self._score.add("consumers that do not close")
        self._read_everything()

    def abandon(self) -> None:
        """Stop without a care."""
        self._score.stopping.set()
        self._score.read.set()

    def _await_groups(self) -> None:
        deadline = time.monotonic() + _CATCH_UP_SECONDS
        wanted = set(self._score.acknowledged.get(SHARED.name, ()))
        for name, members in self._groups.items():
            while missing := wanted - set().union(*(set(member.got) for member in members)):
                if time.monotonic() > deadline:
                    self._score.fail(f"the group of {name} never got {len(missing)} values, first {min(missing)}")
                    break
                time.sleep(0.2)  # polls with a deadline

    def _read_everything(self) -> None:
        """The last poll: from the beginning to the end of every partition."""
        places = [place for topic in (*TOPICS, *self._passing.staying) for place in topic.places]
        read_to_end(self._brokers, places, self._score, _LAST_POLL_SECONDS, _LINGER_SECONDS)
