"""Departure delays by airline, in Polars, of a topic of flights as JSON (examples/flights.py makes such records).

python examples/polars_flights.py --bootstrap 127.0.0.1:9092 --topic flights
"""

import argparse

import polars as pl

import cauce.polars

FLIGHT = pl.Struct({"flight_id": pl.Int64, "carrier": pl.String, "dep_delay": pl.Float64})


def main() -> None:
    parser = argparse.ArgumentParser(description="Departure delays by airline.")
    parser.add_argument("--bootstrap", default="127.0.0.1:9092")
    parser.add_argument("--topic", default="flights")
    arguments = parser.parse_args()
    topic = cauce.polars.scan(arguments.topic, bootstrap=arguments.bootstrap)

    ends = topic.group_by("partition").agg(pl.len(), pl.col("offset").max()).sort("partition").collect()
    print(f"{ends['len'].sum():,} flights in {ends.height} partitions")  # no value was read for that

    flights = topic.select(pl.col("value").cast(pl.String).str.json_decode(FLIGHT).alias("flight")).unnest("flight")
    summary = flights.group_by("carrier").agg(pl.len().alias("flights"), pl.col("dep_delay").mean().alias("delay"))
    for carrier, count, delay in summary.sort("delay", descending=True).collect().iter_rows():
        print(f"{carrier} {count} {delay:.2f}")


if __name__ == "__main__":
    main()
