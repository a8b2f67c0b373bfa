"""A compactor process ends when it is told to, whatever its parts do about it."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compactor.document import Document, Report
from compactor.meter import Meter
from compactor.process import report, until_first
from infra.settings import load_settings
from tests.cauce.cluster import shared_redis

_END_SECONDS = 60.0


def test_a_task_that_loses_a_cancellation_is_cancelled_again() -> None:
    async def scenario() -> None:
        lost = asyncio.Event()

        async def stubborn() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost.set()
            await asyncio.Event().wait()

        tasks = [asyncio.create_task(stubborn()), asyncio.create_task(asyncio.sleep(0))]
        await until_first(tasks)
        assert lost.is_set()
        assert all(task.done() for task in tasks)

    asyncio.run(scenario())


def test_what_ended_it_comes_out() -> None:
    async def scenario() -> None:
        async def fail() -> None:
            raise ValueError("why")

        await until_first([asyncio.create_task(fail()), asyncio.create_task(asyncio.sleep(3600))])

    with pytest.raises(ValueError, match="why"):
        asyncio.run(scenario())


def test_reports_end_once_nobody_reads_them() -> None:
    async def scenario() -> None:
        read, write = os.pipe()
        meter = Meter()
        reports = asyncio.create_task(report(meter, write))
        with os.fdopen(read, "rb") as reader:
            assert Report.decode(await asyncio.to_thread(reader.readline)) == Report.of(meter)
        meter.add("bytes_out", 1)
        await asyncio.wait_for(reports, _END_SECONDS)
        os.close(write)

    asyncio.run(scenario())


def test_it_ends_quietly_once_its_node_is_gone(tmp_path: Path) -> None:
    with shared_redis(tmp_path) as redis:
        flags = {"cauce.data": str(tmp_path / "data"), "cauce.bucket": (tmp_path / "bucket").as_uri()}
        settings = load_settings({**flags, "cauce.redis": redis}, environment={})
        pipe = subprocess.PIPE
        with subprocess.Popen([sys.executable, "-m", "compactor"], stdin=pipe, stdout=pipe, stderr=pipe) as process:
            process.stdin.write(Document(settings, 0, redis).encode())
            process.stdin.flush()
            assert process.stdout.readline()  # its first report
            process.stdin.close()
            assert process.wait(_END_SECONDS) == 0
            assert b"Traceback" not in process.stderr.read()
