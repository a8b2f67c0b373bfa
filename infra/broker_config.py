"""Broker configs that Kafka's tools show and alter: which of them can be changed while nodes run.

A node's own settings (infra/settings.py) are read-only over the wire; the cluster-wide defaults of topic configs are
dynamic: they live in the settings ledger, for one node id or, under the empty name, for all.
"""

from collections.abc import Mapping
from dataclasses import replace

from infra.config_value import ConfigDef, ConfigType
from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.topic_config import parse_value
from infra.topic_config_table import TOPIC_CONFIGS

DYNAMIC_BROKER_CONFIGS: Mapping[str, ConfigDef] = {
    definition.synonym: replace(definition, name=definition.synonym, synonym="")
    for definition in TOPIC_CONFIGS.values()
    if definition.synonym
}

# Shown to tools that ask for them; each says what is true of every node.
CONSTANT_BROKER_CONFIGS: Mapping[str, ConfigDef] = {
    definition.name: definition
    for definition in (
        ConfigDef(
            "default.replication.factor",
            ConfigType.INT,
            "1",
            "Replicas of a new topic; the bucket replicates, so any factor is accepted.",
        ),
        ConfigDef("delete.topic.enable", ConfigType.BOOLEAN, "true", "Whether topics can be deleted."),
        ConfigDef("group.coordinator.rebalance.protocols", ConfigType.LIST, "classic", "Rebalance protocols offered."),
        ConfigDef("inter.broker.protocol.version", ConfigType.STRING, "4.0-IV3", "Version that tools compare."),
        ConfigDef("offsets.topic.replication.factor", ConfigType.INT, "1", "Replicas of the offsets topic."),
        ConfigDef("transaction.state.log.replication.factor", ConfigType.INT, "1", "Replicas of transaction state."),
        ConfigDef("transaction.state.log.min.isr", ConfigType.INT, "1", "In-sync replicas of transaction state."),
    )
}


def check_dynamic_broker_configs(configs: Mapping[str, str]) -> None:
    """Raise `Refused(INVALID_CONFIG)` for a name that cannot be changed at run time or a value it cannot take."""
    for name, text in configs.items():
        definition = DYNAMIC_BROKER_CONFIGS.get(name)
        if definition is None:
            raise Refused(
                ErrorCode.INVALID_CONFIG,
                f"broker config {name!r} cannot be changed while nodes run; set it where the node is started",
            )
        parse_value(definition, text)
