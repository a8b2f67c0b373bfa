"""The upgrade itself: node after node gets the new release under load, with steps back and lost Redis in between."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
from redis import Redis

from tests.cauce.cluster import eventually
from tests.servers import S3Server
from tests.upgrade import history
from tests.upgrade.cluster import MixedNodes, mixed_nodes
from tests.upgrade.load import Load
from tests.upgrade.release import Release
from tests.upgrade.suite import run_cases, run_peers
from tests.wire.client import Client

PREFIX = "upgrade"
# Compaction begins at once where it may, so that what it writes would be met by nodes that cannot read it.
EAGER = {
    "cauce.compaction.interval.ms": "500",
    "cauce.compaction.age.ms": "1000",
    "cauce.garbage.interval.ms": "2000",
    "cauce.garbage.grace.ms": "20000",
}


class Upgrade:
    """One run; prints a line for each step."""

    def __init__(
        self,
        folder: Path,
        server: S3Server,
        releases: tuple[Release, Release],
        clients: Sequence[type[Client]],
        peers: Mapping[str, list[str]],
        session_seconds: float,
    ) -> None:
        """`releases`: the earlier and the present one; `peers`: the command of each suite outside Python."""
        self._folder = folder
        self._server = server
        self._old, self._new = releases
        self._clients = clients
        self._peers = peers
        self._session_seconds = session_seconds
        self._began = time.monotonic()
        self.failed: list[str] = []

    def run(self) -> None:
        """All of it. Raises `AssertionError` when something was lost; cases that failed are in `failed`."""
        with mixed_nodes(self._folder, self._server.url(PREFIX), [self._old] * 3, self._session_seconds) as cluster:
            before = history.write(cluster.bootstrap)
            self._say("the earlier release has written its data")
            with Load(cluster, partitions=24) as load:
                self._steps(cluster, load, before)
                self._say(load.end())

    def _steps(self, cluster: MixedNodes, load: Load, before: history.History) -> None:
        def check(step: str) -> None:
            load.goes_on()
            for node in cluster.nodes:
                wrong = history.differences(before, history.read(node.bootstrap))
                assert not wrong, f"{step}, asked of {node.bootstrap}: {wrong}"
            if self._old in cluster.releases:
                assert not self._record_segments(), f"{step}: record segments, which the earlier release cannot read"
            self._say(f"[{cluster.told}] {step}: old data whole on every node, load goes on")

        def change(number: int, release: Release, step: str, *, kill: bool = False) -> None:
            cluster.change(number, release, kill=kill)
            check(step)

        check("begin")
        self._suite(cluster, "s0")
        change(0, self._new, "first node upgraded")
        self._suite(cluster, "s1")
        change(0, self._old, "a step back")
        change(0, self._new, "upgraded again")
        self._wipe(cluster)
        check("Redis wiped")
        change(0, self._old, "a step back after kill -9", kill=True)
        self._suite(cluster, "s2")
        change(0, self._new, "upgraded after kill -9", kill=True)
        change(1, self._new, "second node upgraded")
        self._suite(cluster, "s3")
        change(2, self._old, "the old node killed and started again", kill=True)
        self._wipe(cluster)
        check("Redis wiped")
        change(2, self._new, "last node upgraded")
        eventually("record segments are written", self._record_segments)
        self._suite(cluster, "s4")
        check("after compaction")

    def _suite(self, cluster: MixedNodes, stage: str) -> None:
        place = cluster.bootstrap, len(cluster.nodes), stage
        for tally in (*run_cases(*place, self._clients), *run_peers(self._peers, *place)):
            self._say(f"[{cluster.told}] wire suite: {tally}")
            for note in tally.notes:
                self._say(f"    {note}")
            for case, why in tally.failed.items():
                self._say(f"    {case}: {why}")
                self.failed.append(f"[{cluster.told}] {tally.client}: {case}")

    def _wipe(self, cluster: MixedNodes) -> None:
        Redis.from_url(cluster.redis).flushall()

    def _record_segments(self) -> list[str]:
        s3: Any = boto3.client("s3", endpoint_url=self._server.endpoint, region_name="us-east-1")
        found = s3.list_objects_v2(Bucket=self._server.bucket, Prefix=f"{PREFIX}/records/", MaxKeys=10)
        return [each["Key"] for each in found.get("Contents", ())]

    def _say(self, line: str) -> None:
        print(f"{time.monotonic() - self._began:6.0f} s  {line}", flush=True)
