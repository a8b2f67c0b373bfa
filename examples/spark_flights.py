"""Departure delays by airline, in Spark, of a topic of flights as JSON (examples/flights.py makes such records).

python examples/spark_flights.py --bootstrap 127.0.0.1:9092 --topic flights
"""

import argparse
import os
import sys
import tempfile

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from cauce.spark import CauceDataSource

FLIGHT = "flight_id int, carrier string, dep_delay double"


def by_airline(records: DataFrame) -> DataFrame:
    """Flights and mean delay, most delayed first."""
    flights = records.select(f.from_json(f.col("value").cast("string"), FLIGHT).alias("flight")).select("flight.*")
    summary = flights.groupBy("carrier").agg(f.count("*").alias("flights"), f.avg("dep_delay").alias("delay"))
    return summary.orderBy(f.desc("delay"))


def main() -> None:
    parser = argparse.ArgumentParser(description="Departure delays by airline.")
    parser.add_argument("--bootstrap", default="127.0.0.1:9092")
    parser.add_argument("--topic", default="flights")
    arguments = parser.parse_args()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    spark.dataSource.register(CauceDataSource)
    options = {"bootstrap": arguments.bootstrap, "topic": arguments.topic}

    records = spark.read.format("cauce").options(**options).schema("value binary").load()
    print(f"{records.count():,} flights in {records.rdd.getNumPartitions()} pieces of work")
    for row in by_airline(records).collect():
        print(f"{row.carrier} {row.flights} {row.delay:.2f}")

    with tempfile.TemporaryDirectory() as checkpoint:  # the same once more, as a stream that ends where the topic ends
        stream = spark.readStream.format("cauce").options(**options, startingOffsets="earliest").load()
        query = stream.writeStream.format("memory").queryName("streamed").option("checkpointLocation", checkpoint)
        query.trigger(availableNow=True).start().awaitTermination()
        print(f"{spark.table('streamed').count():,} flights streamed")
    spark.stop()


if __name__ == "__main__":
    main()
