"""SQL over topics: what DuckDB asks of the datasets, and what it answers."""

from typing import Any

import pytest

from infra.errors import Refused
from reader.replay.dataset import TopicDataset
from reader.replay.request import TEXT
from reader.replay.sql import SqlSession
from tests.replay.listed import ListedSession
from tests.replay.world import record


class Topics:
    """Two topics, and a session over them that notes what it opens."""

    def __init__(self) -> None:
        self.records = {
            "flights": {0: [record(at) for at in range(100)], 1: [record(at, value=b"\xff") for at in range(7)]},
            "odd-name.v1": {0: [record(at, key=None) for at in range(3)]},
        }
        self.opened: list[str] = []
        self.sessions: list[ListedSession] = []
        self.sql = SqlSession(lambda: list(self.records), self.open)

    def open(self, name: str) -> TopicDataset:
        self.opened.append(name)
        self.sessions.append(ListedSession(self.records[name]))
        return TopicDataset(self.sessions[-1], TEXT)

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        rows = [row for batch in self.sql.run(statement).batches() for row in batch.to_pylist()]
        return [tuple(row.values()) for row in rows]


@pytest.fixture
def topics() -> Topics:
    return Topics()


def test_only_what_a_statement_uses_is_read(topics: Topics) -> None:
    assert topics.ask("select sum((value->>'n')::int) from flights where \"offset\" < 10") == [(45,)]
    [scan] = topics.sessions[-1].scans
    assert scan.names == ("value",) or set(scan.names) == {"value", "offset"}
    assert scan.stored == ("offset", "value")
    assert scan.filter is not None


def test_counting_reads_no_column(topics: Topics) -> None:
    assert topics.ask("select count(*) from flights") == [(107,)]
    assert topics.sessions[-1].scans[-1].stored == ()


def test_bytes_stand_beside_text(topics: Topics) -> None:
    statement = (
        "select count(*), count(value), count(value_bytes), min(hex(value_bytes)) from flights where partition = 1"
    )
    assert topics.ask(statement) == [(7, 0, 7, "FF")]
    assert topics.ask('select headers[1].key, headers[1].value::varchar from flights where "offset" = 42') == [
        (b"h", "42")
    ]


def test_topics_are_joined_and_quoted(topics: Topics) -> None:
    statement = 'select count(*) from flights f join "odd-name.v1" o using ("offset") where o.key is null'
    assert topics.ask(statement) == [(6,)]
    assert sorted(topics.opened) == ["flights", "odd-name.v1"]


def test_each_statement_sees_the_topic_as_it_stands(topics: Topics) -> None:
    assert topics.ask("select count(*) from flights where partition = 0") == [(100,)]
    topics.records["flights"][0].append(record(100))
    assert topics.ask("select count(*) from flights where partition = 0") == [(101,)]
    assert topics.sessions[0].closed


def test_tables_of_the_session_come_before_topics(topics: Topics) -> None:
    topics.ask("create table flights as select 1 as one")
    topics.opened.clear()
    assert topics.ask("select * from flights") == [(1,)]
    assert topics.opened == []
    topics.ask('create table kept as select key, count(*) as n from "odd-name.v1" group by key')
    assert topics.ask("select n from kept") == [(3,)]


def test_a_limit_ends_the_stream(topics: Topics) -> None:
    topics.records["flights"][0] = [record(at) for at in range(20_000)]
    assert len(topics.ask("select key from flights limit 5")) == 5


def test_statements_are_split_and_mistakes_told(topics: Topics) -> None:
    assert len(topics.sql.statements("select 1; select ';' ;\n")) == 2
    with pytest.raises(Refused, match="syntax error"):
        topics.sql.statements("selec 1")
    for statement in ("select nope from flights", "from nope"):
        with pytest.raises(Refused, match="nope"):
            topics.ask(statement)
    with pytest.raises(Refused, match="convert"):
        topics.ask("select (value || 'x')::int from flights")
    assert topics.ask("select 1") == [(1,)]  # and it goes on


def test_nothing_is_loaded_from_the_network(topics: Topics) -> None:
    names = "('autoinstall_known_extensions', 'autoload_known_extensions')"
    settings = f"select value from duckdb_settings() where name in {names}"
    assert topics.ask(settings) == [("false",), ("false",)]
    with pytest.raises(Refused):
        topics.ask("select * from read_json('https://127.0.0.1:1/x.json')")


def test_a_topic_that_cannot_be_read_is_told_in_words() -> None:
    topics = Topics()

    class Broken(ListedSession):
        def delivered(self, *_: Any, **__: Any) -> Any:
            raise Refused(0, "the leader is away")  # type: ignore[arg-type]

    topics.open = lambda name: TopicDataset(Broken(topics.records[name]), TEXT)  # type: ignore[method-assign]
    topics.sql = SqlSession(lambda: list(topics.records), lambda name: topics.open(name))
    with pytest.raises(Refused, match="the leader is away"):
        topics.ask("select value from flights")
