"""What the options of the Spark data source say. They are called and written as those of Spark's own Kafka source.

Spark starts a Python process for each step of planning, most of which only ask for the schema: what talks to the
cluster is imported when it is needed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Self

from infra.error_code import ErrorCode
from infra.errors import Refused
from reader.engines.cutting import WORK_BYTES
from reader.replay.request import BYTES

if TYPE_CHECKING:
    from reader.engines.topic_source import TopicSource

EARLIEST, LATEST = "earliest", "latest"
_PLACES = {-2: EARLIEST, -1: LATEST}

_NAMES = (
    "bootstrap",
    "topic",
    "bucket",
    "commandConfig",
    "partitions",
    "columns",
    "startingOffsets",
    "startingTimestamp",
    "endingOffsets",
    "endingTimestamp",
    "workBytes",
    "maxOffsetsPerTrigger",
    "failOnDataLoss",
    "pushFilters",
)

Offsets = str | Mapping[int, int | str]
"""EARLIEST, LATEST, or by partition an offset or one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkOptions:
    """The options, parsed."""

    topic: str
    bootstrap: str
    bucket: str | None
    command_config: str | None
    partitions: tuple[int, ...] | None
    columns: tuple[str, ...]
    starting: Offsets | None  # None: as the kind of query has it
    starting_ms: int | None
    ending: Offsets
    ending_ms: int | None
    work_bytes: int
    max_offsets: int | None
    fail_on_data_loss: bool
    push_filters: bool

    @classmethod
    def parse(cls, options: Mapping[str, str]) -> Self:
        """From what Spark hands over. Raises `Refused` with a sentence for what cannot be obeyed."""
        words = _known(options)
        topic = words.get("topic")
        if not topic:
            raise _refused('name the topic: .option("topic", "…")')
        starting = words.get("startingoffsets")
        return cls(
            topic=topic,
            bootstrap=words.get("bootstrap", "127.0.0.1:9092"),
            bucket=words.get("bucket"),
            command_config=words.get("commandconfig"),
            partitions=_numbers(words.get("partitions")),
            columns=_columns(words.get("columns")),
            starting=None if starting is None else _offsets("startingOffsets", starting, topic),
            starting_ms=_integer("startingTimestamp", words.get("startingtimestamp")),
            ending=_offsets("endingOffsets", words.get("endingoffsets", LATEST), topic),
            ending_ms=_integer("endingTimestamp", words.get("endingtimestamp")),
            work_bytes=_integer("workBytes", words.get("workbytes"), least=1) or WORK_BYTES,
            max_offsets=_integer("maxOffsetsPerTrigger", words.get("maxoffsetspertrigger"), least=1),
            fail_on_data_loss=_boolean("failOnDataLoss", words.get("failondataloss"), True),
            push_filters=_boolean("pushFilters", words.get("pushfilters"), False),
        )

    def source(self) -> "TopicSource":
        """The topic of the cluster. Raises what `TopicSource` raises."""
        from reader.engines.topic_source import TopicSource

        return TopicSource(self.topic, self.bootstrap, self.bucket, self.command_config)


def _known(options: Mapping[str, str]) -> dict[str, str]:
    names = {name.lower(): name for name in _NAMES}
    words = {name.lower(): value for name, value in options.items()}
    for name in words:
        if name not in names:
            close = get_close_matches(name, names, n=1)
            hint = f"is {names[close[0]]!r} meant?" if close else f"the options are {', '.join(_NAMES)}"
            raise _refused(f"there is no option {name!r}: {hint}")
    return words


def _offsets(name: str, text: str, topic: str) -> Offsets:
    if text.lower() in (EARLIEST, LATEST):
        return text.lower()
    example = f'{{"{topic}": {{"0": 23, "1": -2}}}}'
    try:
        by_topic: Any = json.loads(text)
        found = {int(partition): int(offset) for partition, offset in by_topic[topic].items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise _refused(f"{name} is {EARLIEST}, {LATEST} or like {example}, not {text!r}") from None
    if len(by_topic) != 1 or min(found.values(), default=0) < -2:
        raise _refused(f"{name} names offsets of {topic!r} only, -2 for the earliest and -1 for the latest: {text!r}")
    return {partition: _PLACES.get(offset, offset) for partition, offset in found.items()}


def _columns(text: str | None) -> tuple[str, ...]:
    names = tuple(BYTES.names) if text is None else tuple(word.strip() for word in text.split(","))
    unknown = [name for name in names if name not in BYTES.names]
    if unknown:
        raise _refused(f"there is no column {unknown[0]!r}; the columns are {', '.join(BYTES.names)}")
    return names


def _numbers(text: str | None) -> tuple[int, ...] | None:
    try:
        return None if text is None else tuple(int(word) for word in text.split(","))
    except ValueError:
        raise _refused(f"partitions are numbers with commas between, not {text!r}") from None


def _integer(name: str, text: str | None, least: int = 0) -> int | None:
    if text is None:
        return None
    if not text.strip().isdecimal() or int(text) < least:
        raise _refused(f"{name} is a whole number from {least} on, not {text!r}")
    return int(text)


def _boolean(name: str, text: str | None, default: bool) -> bool:
    if text is None:
        return default
    if text.lower() not in ("true", "false"):
        raise _refused(f"{name} is true or false, not {text!r}")
    return text.lower() == "true"


def _refused(sentence: str) -> Refused:
    return Refused(ErrorCode.INVALID_REQUEST, sentence)
