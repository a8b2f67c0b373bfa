"""`cauce.spark`: topics in Spark 4. Needs the extra `cauce[spark]`, where the driver and where executors run."""

from reader.engines.spark_source import CauceDataSource

__all__ = ["CauceDataSource"]
