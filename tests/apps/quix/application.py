"""The application under test, as a user of Quix Streams writes it: counts and sums for each key, exactly once.

Runs in a venv that has quixstreams and nothing of this project:

    python application.py BOOTSTRAP STATE-FOLDER
"""

import sys

from quixstreams import Application, State

GROUP, NUMBERS, SUMS = "sums", "numbers", "sums"
PARTITIONS = 3


def add(number: dict[str, int], state: State) -> dict[str, int]:
    """The next line of a key's account; `number` comes back in it."""
    count = state.get("count", 0) + 1
    total = state.get("total", 0) + number["value"]
    state.set("count", count)
    state.set("total", total)
    return {"number": number["number"], "count": count, "total": total}


def main() -> None:
    bootstrap, folder = sys.argv[1:]
    application = Application(
        broker_address=bootstrap,
        consumer_group=GROUP,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=0.5,
        state_dir=folder,
        on_message_processed=lambda topic, partition, offset: print("processed", partition, offset, flush=True),
        producer_extra_config={"transactional.id": GROUP, "transaction.timeout.ms": 20_000},
        consumer_extra_config={"group.instance.id": GROUP, "session.timeout.ms": 10_000},
    )
    numbers = application.topic(NUMBERS, key_deserializer="str", value_deserializer="json")
    sums = application.topic(SUMS, key_serializer="str", value_serializer="json")
    rows = application.dataframe(numbers)
    rows = rows.apply(add, stateful=True)
    rows.to_topic(sums)
    application.run()


if __name__ == "__main__":
    main()
