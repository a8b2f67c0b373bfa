"""DescribeLogDirs: what a node's log folders hold."""

from infra.wire.message import array, boolean, int16, int32, int64, message, string, struct

API_KEY = 35


@struct
class DescribableLogDirTopic:
    """An element of `DescribeLogDirsRequest.topics`."""

    topic: str = string()
    partitions: list[int] = array("int32")


@message("1-5", flexible="2+")
class DescribeLogDirsRequest:
    """The question."""

    topics: list[DescribableLogDirTopic] | None = array(DescribableLogDirTopic, nullable="0+")


@struct
class DescribeLogDirsPartition:
    """An element of `DescribeLogDirsTopic.partitions`."""

    partition_index: int = int32()
    partition_size: int = int64()
    offset_lag: int = int64()
    is_future_key: bool = boolean()


@struct
class DescribeLogDirsTopic:
    """An element of `DescribeLogDirsResult.topics`."""

    name: str = string()
    partitions: list[DescribeLogDirsPartition] = array(DescribeLogDirsPartition)


@struct
class DescribeLogDirsResult:
    """An element of `DescribeLogDirsResponse.results`."""

    error_code: int = int16()
    log_dir: str = string()
    topics: list[DescribeLogDirsTopic] = array(DescribeLogDirsTopic)
    total_bytes: int = int64("4+", default=-1)
    usable_bytes: int = int64("4+", default=-1)
    is_cordoned: bool = boolean("5+")


@message("1-5", flexible="2+")
class DescribeLogDirsResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    error_code: int = int16("3+")
    results: list[DescribeLogDirsResult] = array(DescribeLogDirsResult)
