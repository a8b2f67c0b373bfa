"""Kafka's API keys and names, and from a key to its message classes, imported when first asked for."""

import importlib
import sys
from functools import cache
from typing import Any

from infra.wire.message import Table, table_of

API_NAMES = {
    0: "produce",
    1: "fetch",
    2: "list_offsets",
    3: "metadata",
    8: "offset_commit",
    9: "offset_fetch",
    10: "find_coordinator",
    11: "join_group",
    12: "heartbeat",
    13: "leave_group",
    14: "sync_group",
    15: "describe_groups",
    16: "list_groups",
    17: "sasl_handshake",
    18: "api_versions",
    19: "create_topics",
    20: "delete_topics",
    21: "delete_records",
    22: "init_producer_id",
    23: "offset_for_leader_epoch",
    24: "add_partitions_to_txn",
    25: "add_offsets_to_txn",
    26: "end_txn",
    27: "write_txn_markers",
    28: "txn_offset_commit",
    29: "describe_acls",
    30: "create_acls",
    31: "delete_acls",
    32: "describe_configs",
    33: "alter_configs",
    34: "alter_replica_log_dirs",
    35: "describe_log_dirs",
    36: "sasl_authenticate",
    37: "create_partitions",
    42: "delete_groups",
    43: "elect_leaders",
    44: "incremental_alter_configs",
    45: "alter_partition_reassignments",
    46: "list_partition_reassignments",
    47: "offset_delete",
    48: "describe_client_quotas",
    49: "alter_client_quotas",
    50: "describe_user_scram_credentials",
    51: "alter_user_scram_credentials",
    60: "describe_cluster",
    61: "describe_producers",
    65: "describe_transactions",
    66: "list_transactions",
    68: "consumer_group_heartbeat",
    69: "consumer_group_describe",
    74: "list_config_resources",
    75: "describe_topic_partitions",
}


@cache
def request_class(api_key: int) -> Any:
    """The request class of an API. Raises KeyError for a key without message tables."""
    return _message_class(api_key, "Request")


@cache
def response_class(api_key: int) -> Any:
    """The response class of an API. Raises KeyError for a key without message tables."""
    return _message_class(api_key, "Response")


@cache
def request_table(api_key: int) -> Table:
    """Versions and flexible versions of an API, as its request has them."""
    return table_of(request_class(api_key))


def api_key_of(cls: type) -> int:
    """The API key of a request or response class."""
    return int(sys.modules[cls.__module__].API_KEY)


def _message_class(api_key: int, kind: str) -> Any:
    name = API_NAMES[api_key]
    module = importlib.import_module(f"infra.wire.messages.{name}")
    return getattr(module, "".join(word.capitalize() for word in name.split("_")) + kind)
