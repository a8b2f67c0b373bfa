"""The filled topic, and the engines, where they are installed; where they are not, the run says so."""

import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines.engines import absent
from tests.engines.filled import FilledTopic, filled_topic
from tests.servers import aws_credentials, moto_server  # noqa: F401


@pytest.fixture(scope="session")
def filled() -> Iterator[FilledTopic]:
    """One topic for all tests that only read."""
    with tempfile.TemporaryDirectory(prefix="cauce-") as folder, filled_topic(Path(folder)) as topic:
        yield topic


@pytest.fixture(scope="session")
def needs_dask() -> None:
    """Leaves the test out, and says so, without Dask."""
    _leave_out("Dask")


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """A Spark session with the data source; leaves the test out, and says so, without PySpark or Java."""
    _leave_out("Spark")
    from pyspark.sql import SparkSession

    from cauce.spark import CauceDataSource

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else executors take the first python3 there is
    warehouse = tempfile.mkdtemp(prefix="cauce-spark-")
    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.warehouse.dir", warehouse)
        .config("spark.sql.python.filterPushdown.enabled", "true")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    session.dataSource.register(CauceDataSource)
    yield session
    session.stop()
    shutil.rmtree(warehouse, ignore_errors=True)


def _leave_out(engine: str) -> None:
    reason = absent(engine)
    if reason is not None:
        warnings.warn(f"{engine} was left out: {reason}", stacklevel=1)
        pytest.skip(reason)
