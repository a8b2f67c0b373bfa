"""What a table should be, without a table: files, changes, names, expiry, and the settings around it."""

import sys
from uuid import UUID

import pytest

from compactor.table import change_to, decode_versions, encode_versions, goal_of, superseded, table_name
from infra.cluster.manifest import Manifest
from infra.config_value import BadValue
from infra.error_code import ErrorCode
from infra.errors import BadStart, Refused
from infra.settings import load_settings
from infra.store.location import bucket_location
from infra.table_config import catalog_properties, check_table_support
from tests.compactor.parts import TOPIC_ID, segment


def test_the_goal_is_what_is_not_wholly_below_the_log_start_and_holds_records() -> None:
    below, across, above = segment(0, 9, 100), segment(10, 19, 100), segment(20, 29, 100)
    manifests = [Manifest(4, 15, (below, across, above)), Manifest(), Manifest(0, 0, ())]
    goal = goal_of(TOPIC_ID, "orders", manifests)
    assert list(goal.files) == [across.key, above.key]
    assert goal.versions == (4, -1, 0)
    assert not goal.text
    change = change_to(goal, [below.key, across.key])
    assert ([file.key for file in change.added], change.removed) == ([above.key], (below.key,))
    assert not change_to(goal, goal.files)


def test_versions_survive_a_snapshot() -> None:
    assert decode_versions(encode_versions((3, -1, 12))) == (3, -1, 12)
    assert decode_versions(None) == ()


def test_what_had_a_successor_before_a_time_is_superseded() -> None:
    assert [superseded([10, 20, 30], before) for before in (10, 20, 21, 30, 31, 99)] == [0, 0, 1, 1, 2, 2]
    assert superseded([], 5) == 0


def test_table_names_need_no_quotes() -> None:
    assert table_name("Card.payments-EU") == "card_payments_eu"
    assert table_name("a.b", UUID(int=0x1234 << 112)) == "a_b_12340000"


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("file:///data/a%20bucket", "file:///data/a bucket/"),
        ("s3://name/some/prefix?endpoint=http://h:1", "s3://name/some/prefix/"),
        ("s3://name", "s3://name/"),
    ],
)
def test_locations_are_as_engines_take_them(url: str, location: str) -> None:
    assert bucket_location(url) == location


def test_a_catalog_is_json_or_a_list() -> None:
    assert catalog_properties("") == {}
    assert catalog_properties("type=rest, uri=https://host/a=b") == {"type": "rest", "uri": "https://host/a=b"}
    assert catalog_properties('{"type": "glue", "glue.retries": 3}') == {"type": "glue", "glue.retries": "3"}
    for wrong in ("rest", "{rest", "=x"):
        with pytest.raises(BadValue):
            catalog_properties(wrong)
    with pytest.raises(BadStart, match=r"cauce\.table\.catalog"):
        load_settings({"cauce.table.catalog": "rest"}, environment={})


def test_without_the_library_a_topic_with_a_table_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_table_support({"cauce.table": "iceberg"})
    monkeypatch.setitem(sys.modules, "pyiceberg", None)
    check_table_support({"cauce.table": ""})
    with pytest.raises(Refused, match=r"pip install 'cauce\[iceberg\]'") as refused:
        check_table_support({"cauce.table": "iceberg"})
    assert refused.value.code is ErrorCode.INVALID_CONFIG
