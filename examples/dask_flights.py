"""Departure delays by airline, in Dask, of a topic of flights as JSON (examples/flights.py makes such records).

python examples/dask_flights.py --bootstrap 127.0.0.1:9092 --topic flights
"""

import argparse
import json

import pandas as pd

import cauce.dask


def parsed(rows: pd.DataFrame) -> pd.DataFrame:
    """The flights of one piece of work."""
    flights = [json.loads(value) for value in rows["value"]]
    found = pd.DataFrame(flights, columns=["carrier", "dep_delay"])
    return found.astype({"carrier": "str", "dep_delay": "float64"})


def main() -> None:
    parser = argparse.ArgumentParser(description="Departure delays by airline.")
    parser.add_argument("--bootstrap", default="127.0.0.1:9092")
    parser.add_argument("--topic", default="flights")
    arguments = parser.parse_args()
    records = cauce.dask.read(arguments.topic, bootstrap=arguments.bootstrap, columns=["value"])
    print(f"{len(records):,} flights in {records.npartitions} pieces of work")
    meta = pd.DataFrame({"carrier": pd.Series(dtype="str"), "dep_delay": pd.Series(dtype="float64")})
    delays = records.map_partitions(parsed, meta=meta).groupby("carrier")["dep_delay"].agg(["size", "mean"]).compute()
    for carrier, row in delays.sort_values("mean", ascending=False).iterrows():
        print(f"{carrier} {row['size']:.0f} {row['mean']:.2f}")


if __name__ == "__main__":
    main()
