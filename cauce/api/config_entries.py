"""Rows of config listings: value, source and synonyms of topic and broker configs, as DescribeConfigs shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.broker_config import CONSTANT_BROKER_CONFIGS, DYNAMIC_BROKER_CONFIGS
from infra.config_value import ConfigDef
from infra.ports import Durability
from infra.topic_config_table import DURABILITY, TOPIC_CONFIGS

# config_source of DescribeConfigs (KIP-226)
TOPIC_SOURCE, DEFAULT_BROKER_SOURCE, STATIC_SOURCE, DEFAULT_SOURCE = 1, 3, 4, 5


@dataclass(frozen=True, slots=True)
class ConfigRow:
    """One config as it stands, with what it would fall back to, nearest first."""

    definition: ConfigDef
    value: str
    source: int
    read_only: bool = False
    synonyms: tuple[tuple[str, str, int], ...] = ()  # (name, value, source)

    @property
    def name(self) -> str:
        """The config's name."""
        return self.definition.name


def topic_config_rows(
    configs: Mapping[str, str], broker_configs: Mapping[str, str], node_durability: Durability
) -> Sequence[ConfigRow]:
    """Every topic config of a topic whose own configs are given; a durability that is nowhere set is the node's."""
    rows = []
    for name, definition in TOPIC_CONFIGS.items():
        synonyms = []
        if name in configs:
            synonyms.append((name, configs[name], TOPIC_SOURCE))
        if definition.synonym in broker_configs:
            synonyms.append((definition.synonym, broker_configs[definition.synonym], DEFAULT_BROKER_SOURCE))
        default = node_durability if name == DURABILITY else definition.default
        synonyms.append((definition.synonym or name, default, DEFAULT_SOURCE))
        _, value, source = synonyms[0]
        rows.append(ConfigRow(definition, value, source, synonyms=tuple(synonyms)))
    return rows


def broker_config_rows(everywhere: Mapping[str, str], static: Sequence[ConfigRow]) -> Sequence[ConfigRow]:
    """Every config of one node: the cluster-wide ones that can be altered, its settings, and what is always so."""
    given = {row.name: row.value for row in static if row.source == STATIC_SOURCE}
    rows = []
    for name, definition in DYNAMIC_BROKER_CONFIGS.items():
        synonyms = []
        if name in everywhere:
            synonyms.append((name, everywhere[name], DEFAULT_BROKER_SOURCE))
        if name in given:
            synonyms.append((name, given[name], STATIC_SOURCE))
        synonyms.append((name, definition.default, DEFAULT_SOURCE))
        _, value, source = synonyms[0]
        rows.append(ConfigRow(definition, value, source, synonyms=tuple(synonyms)))
    known = {row.name for row in rows}
    rows.extend(row for row in static if row.name not in known)
    known.update(row.name for row in static)
    for name, definition in CONSTANT_BROKER_CONFIGS.items():
        if name not in known:
            rows.append(ConfigRow(definition, definition.default, DEFAULT_SOURCE, read_only=True))
    return rows


def cluster_default_rows(everywhere: Mapping[str, str]) -> Sequence[ConfigRow]:
    """The dynamic configs set for all nodes: what the broker resource with an empty name shows."""
    return [
        ConfigRow(DYNAMIC_BROKER_CONFIGS[name], value, DEFAULT_BROKER_SOURCE)
        for name, value in everywhere.items()
        if name in DYNAMIC_BROKER_CONFIGS
    ]
