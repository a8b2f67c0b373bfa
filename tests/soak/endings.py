"""How a soak ends: nobody writes any more, everything converges, and the bucket holds what it must and nothing else."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from infra.cluster.manifest import Manifest, ManifestLedger
from infra.cluster.records import TopicRecord
from infra.errors import NotFound
from infra.object_key import TOPICS, TopicKey, parse_key
from infra.partition import PartitionId
from infra.store.open import open_store
from tests.cauce.commands import run
from tests.soak.events import admin_client
from tests.soak.follower import Models
from tests.soak.readers import SoakReader
from tests.soak.score import Score
from tests.soak.topics import SoakTopic

_READ_SECONDS = 120.0
Manifests = Mapping[tuple[str, int], Manifest]


class Ending:
    """Checks after the last acknowledgement."""

    def __init__(self, bootstrap: str, data: Path, topics: Sequence[SoakTopic], models: Models, score: Score) -> None:
        self._bootstrap = bootstrap
        self._data = data
        self._topics = topics
        self._models = models
        self._score = score

    def read_everything(self) -> None:
        """Every topic from its beginning to its end; a compacted one must come to the state that was written."""
        reader = SoakReader(self._bootstrap, "everything", self._topics, self._models, self._score)
        last = reader.read_everything(self._topics, _READ_SECONDS)
        for topic in self._topics:
            for model in self._models[topic.name]:
                place = (topic.name, model.partition)
                low, high = reader.watermarks(place)
                if high != model.end:
                    self._wrong(place, f"the log ends at {high}, acknowledged was all up to {model.end}")
                if topic.kept_whole and low:
                    self._wrong(place, f"the log begins at {low}, all must be kept")
                if topic.compacted:
                    self._compare_state(place, low, last[place])
        reader.close()

    def converge(self, seconds: float) -> None:
        """Retention and cleaning come to what their rules say, and everything published becomes record segments."""
        self._clean_all()
        for topic in self._topics:
            for model in self._models[topic.name]:
                place = (topic.name, model.partition)
                self._until(seconds, place, lambda place=place, topic=topic: self._unfinished(place, topic))

    def check_bucket(self, seconds: float) -> None:
        """`cauce bucket check` says that nothing is missing, damaged or left over."""
        self._until(seconds, ("bucket", 0), lambda: bucket_problem(self._data))

    def check_gone(self, names: Sequence[str], seconds: float) -> None:
        """Topics that were deleted have left nothing."""
        self._until(seconds, ("deleted topics", 0), lambda: _left_of(self._data, names))

    def _clean_all(self) -> None:
        """Make the cleaner clean the last dirty byte."""
        entry = ConfigEntry("min.cleanable.dirty.ratio", "0", incremental_operation=AlterConfigOpType.SET)
        resources = [
            ConfigResource(ResourceType.TOPIC, topic.name, incremental_configs=[entry])
            for topic in self._topics
            if topic.compacted
        ]
        admin = admin_client(self._bootstrap)  # its requests end with it
        for future in admin.incremental_alter_configs(resources).values():
            future.result(60)

    def _unfinished(self, place: tuple[str, int], topic: SoakTopic) -> str | None:
        manifest, model = asyncio.run(manifest_of(self._data, place)), self._models[place[0]][place[1]]
        if topic.retention_ms is not None and manifest.log_start_offset != model.end:
            return f"the log begins at {manifest.log_start_offset}, all up to {model.end} has expired"
        if manifest.floor != model.end:
            return f"record segments end at {manifest.records_end}, not at {model.end}"
        if topic.compacted and topic.retention_ms is None and manifest.cleaned_upto != model.end:
            return f"it is cleaned up to {manifest.cleaned_upto}, not {model.end}"
        limit = int(topic.configs.get("retention.bytes", -1))
        rest = sum(segment.size for segment in manifest.segments[1:])
        if limit >= 0 and rest >= limit:
            return f"it has {rest} bytes without its first segment, at most {limit} are to be kept"
        return None

    def _compare_state(self, place: tuple[str, int], low: int, last: Mapping[bytes, int]) -> None:
        """The last offset read of each key must be its newest: an older one would be a value come back."""
        for key, (newest, tombstone) in self._models[place[0]][place[1]].newest_of_each().items():
            read = last.get(key, -1)
            if read != newest and newest >= low and not (tombstone and read < 0):
                self._wrong(place, f"the newest of {key!r} is at {newest}, read was {read}")
            elif read >= 0 and read != newest:
                self._wrong(place, f"{key!r} of offset {read} came back, {newest} is newer")

    def _until(self, seconds: float, place: tuple[str, int], probe: Callable[[], str | None]) -> None:
        deadline = time.monotonic() + seconds
        while (problem := probe()) is not None:
            if time.monotonic() > deadline:
                self._wrong(place, f"after {seconds:.0f} s {problem}")
                return
            time.sleep(0.3)

    def _wrong(self, place: tuple[str, int], sentence: str) -> None:
        self._score.fail(f"{place[0]}-{place[1]}", sentence)


def bucket_problem(data: Path) -> str | None:
    """What `cauce bucket check` has to say, None when all is as it should be."""
    done = run("bucket", "check", "--json", "--data", str(data))
    found: dict[str, Any] = json.loads(done.out)
    kinds = {kind: found[kind] for kind in ("missing", "unreferenced", "damaged", "unknown") if found[kind]}
    if not kinds:
        return None
    return ", ".join(f"{len(rows)} {kind} ({rows[0]})" for kind, rows in kinds.items())


def names_in(data: Path) -> set[str]:
    """Names of all topics that have a ledger."""
    return set(asyncio.run(_topics(data)).values())


async def manifest_of(data: Path, place: tuple[str, int]) -> Manifest:
    """By the bucket."""
    topic_ids = [topic_id for topic_id, name in (await _topics(data)).items() if name == place[0]]
    return await ManifestLedger(_store(data)).read(PartitionId(topic_ids[-1], place[1]))


async def _topics(data: Path) -> dict[UUID, str]:
    store, found = _store(data), {}
    async for info in store.list(TOPICS):
        key = parse_key(info.key)
        assert isinstance(key, TopicKey)
        with contextlib.suppress(NotFound):  # garbage since it was listed
            found[key.topic_id] = TopicRecord.decode(await store.get(info.key), info.key).name
    return found


def _store(data: Path) -> Any:
    return open_store((data / "bucket").as_uri())


def _left_of(data: Path, names: Sequence[str]) -> str | None:
    left = names_in(data) & set(names)
    return f"deleted topics are still there: {sorted(left)}" if left else None
