"""The Spark data source `cauce`: what Spark registers."""

from pyspark.sql.datasource import DataSource, DataSourceReader, DataSourceStreamReader
from pyspark.sql.types import StructType

from reader.engines.spark_batch import BatchReader, PushingReader
from reader.engines.spark_options import SparkOptions
from reader.engines.spark_rows import spark_schema
from reader.engines.spark_stream import stream_reader


class CauceDataSource(DataSource):  # type: ignore[misc]
    """`spark.dataSource.register(CauceDataSource)`, then `spark.read.format("cauce")` or `spark.readStream`.

    Columns: partition, offset, timestamp, key, value, headers; with `.schema("offset bigint, key binary")` or the
    option `columns` fewer, which are read faster. docs/engines.md has the options.
    """

    @classmethod
    def name(cls) -> str:
        """The format's name."""
        return "cauce"

    def schema(self) -> StructType:
        """The columns that the options ask for."""
        return spark_schema(self._parsed().columns)

    def reader(self, schema: StructType) -> DataSourceReader:
        """For `spark.read`."""
        options = self._parsed()
        return PushingReader(options, schema) if options.push_filters else BatchReader(options, schema)

    def streamReader(self, schema: StructType) -> DataSourceStreamReader:  # noqa: N802 - Spark's name
        """For `spark.readStream`."""
        return stream_reader(self._parsed(), schema)

    def _parsed(self) -> SparkOptions:
        return SparkOptions.parse(self.options)
