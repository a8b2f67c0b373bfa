"""A topic with a table through the front door: produced, compacted, read as an Iceberg table, deleted, and refused."""

import os
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError
from sqlalchemy.exc import OperationalError

from cauce.testing import CauceProcess
from tests.cauce.cluster import eventually
from tests.cauce.kept import Row, write
from tests.cauce.test_compaction import scrape, values

_PARTITIONS = 3
_OPTIONS = [
    word
    for name, value in {
        "cauce.compaction.interval.ms": "100",
        "cauce.compaction.bytes": "1",
        "cauce.compaction.age.ms": "0",
        "cauce.flush.interval.ms": "50",
        "cauce.table.commit.interval.ms": "200",
        "cauce.garbage.interval.ms": "300",
    }.items()
    for word in ("--set", f"{name}={value}")
]


def create(node: CauceProcess, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": node.bootstrap})
    wanted = NewTopic(topic, _PARTITIONS, config={"cauce.table": "iceberg", "cauce.value.format": "string"})
    admin.create_topics([wanted])[topic].result(30)


def rows(folder: Path, name: str) -> list[Row]:
    """What an Iceberg reader finds in the table, sorted; nothing before there is one."""
    catalog = folder / "tables" / "catalog.sqlite"
    if not catalog.exists():
        return []
    try:
        table = SqlCatalog("cauce", uri=f"sqlite:///{catalog}", init_catalog_tables="false").load_table(("cauce", name))
    except (NoSuchTableError, OperationalError):  # the compactor has just begun with the file
        return []
    found = table.scan().to_arrow()
    columns = [found[name].to_pylist() for name in ("partition", "offset", "key", "value")]
    return sorted(
        (partition, offset, key, value.encode()) for partition, offset, key, value in zip(*columns, strict=True)
    )


@pytest.mark.timeout(240)
def test_what_is_produced_is_in_the_table(tmp_path: Path) -> None:
    with CauceProcess(tmp_path, options=_OPTIONS) as node:
        create(node, "card.payments")
        written = write(node.bootstrap, "card.payments", values("first"))
        eventually("the table has it", lambda: rows(tmp_path, "card_payments") == written)
        node.kill()
        (tmp_path / "tables" / "catalog.sqlite").unlink()
        node.start()
        written = sorted(written + write(node.bootstrap, "card.payments", values("second")))
        eventually("the table has it all", lambda: rows(tmp_path, "card_payments") == written)
        eventually("commits are counted", lambda: scrape(node)["table_commits_total"] > 0)
        admin = AdminClient({"bootstrap.servers": node.bootstrap})
        admin.delete_topics(["card.payments"])["card.payments"].result(30)
        eventually("the table is gone", lambda: rows(tmp_path, "card_payments") == [])


def test_a_node_without_the_library_refuses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['pyiceberg'] = None\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(hidden), os.environ.get("PYTHONPATH", "")])))
    with CauceProcess(tmp_path / "data", options=_OPTIONS) as node:
        with pytest.raises(KafkaException) as refused:
            create(node, "orders")
        assert refused.value.args[0].name() == "INVALID_CONFIG"
        assert "cauce[iceberg]" in refused.value.args[0].str()
        admin = AdminClient({"bootstrap.servers": node.bootstrap})
        admin.create_topics([NewTopic("orders", 1)])["orders"].result(30)
