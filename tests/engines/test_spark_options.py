"""Options are obeyed, or refused with a sentence that says what to write."""

import pytest

from infra.errors import Refused
from reader.engines.spark_options import SparkOptions


def test_defaults() -> None:
    options = SparkOptions.parse({"topic": "flights"})
    assert (options.bootstrap, options.bucket, options.starting, options.ending) == (
        "127.0.0.1:9092",
        None,
        None,
        "latest",
    )
    assert options.columns == ("partition", "offset", "timestamp", "key", "value", "headers")
    assert (options.fail_on_data_loss, options.push_filters, options.max_offsets) == (True, False, None)


def test_everything_is_parsed_whatever_its_case() -> None:
    options = SparkOptions.parse(
        {
            "TOPIC": "flights",
            "bootstrap": "a:1,b:2",
            "bucket": "s3://there",
            "partitions": "0, 2",
            "columns": "key, offset",
            "startingOffsets": '{"flights": {"0": 23, "2": -2}}',
            "endingoffsets": '{"flights": {"0": 90, "2": -1}}',
            "workBytes": "1000",
            "maxOffsetsPerTrigger": "5",
            "failOnDataLoss": "False",
            "pushFilters": "true",
            "startingTimestamp": "17",
            "endingTimestamp": "18",
        }
    )
    assert (options.partitions, options.columns) == ((0, 2), ("key", "offset"))
    assert (options.starting, options.ending) == ({0: 23, 2: "earliest"}, {0: 90, 2: "latest"})
    assert (options.work_bytes, options.max_offsets, options.starting_ms, options.ending_ms) == (1000, 5, 17, 18)
    assert (options.fail_on_data_loss, options.push_filters) == (False, True)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("startingOffset", "earliest", "is 'startingOffsets' meant?"),
        ("nonsense", "1", "the options are bootstrap, topic"),
        ("startingOffsets", "soon", "earliest, latest or like"),
        ("startingOffsets", '{"other": {"0": 1}}', "earliest, latest or like"),
        ("startingOffsets", '{"flights": {"0": 1}, "other": {"0": 1}}', "'flights' only"),
        ("endingOffsets", '{"flights": {"0": -3}}', "-2 for the earliest"),
        ("columns", "offset,colour", "no column 'colour'"),
        ("partitions", "one", "numbers with commas"),
        ("workBytes", "0", "a whole number from 1 on"),
        ("startingTimestamp", "2024-01-01", "a whole number from 0 on"),
        ("failOnDataLoss", "maybe", "true or false"),
    ],
)
def test_what_cannot_be_obeyed_is_refused(name: str, value: str, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence.replace("?", r"\?")):
        SparkOptions.parse({"topic": "flights", name: value})


def test_a_topic_has_to_be_named() -> None:
    with pytest.raises(Refused, match="name the topic"):
        SparkOptions.parse({"bootstrap": "a:1"})
