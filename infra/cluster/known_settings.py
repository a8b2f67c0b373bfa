"""The settings of a cluster as the view told them last, by kind and name; decoded once a version."""

from collections.abc import Mapping
from types import MappingProxyType

from infra.cluster.records import SettingRecord

_NONE: Mapping[str, Mapping[str, str]] = MappingProxyType({})


class KnownSettings:
    """Replaces the values of a kind as a whole, so that whoever keeps them sees by identity that they have changed."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, Mapping[str, str]]] = {}
        self._versions: dict[tuple[str, str], int] = {}

    def of(self, kind: str) -> Mapping[str, Mapping[str, str]]:
        """Name → values."""
        return self._kinds.get(kind, _NONE)

    def take(self, told: Mapping[tuple[str, str], tuple[int, bytes]]) -> None:
        """(kind, name) → (ledger version, record), all there are. Raises `Corrupt`, and then nothing has changed."""
        changed = {kind for kind, _ in self._versions.keys() - told.keys()}
        changed.update(kind for (kind, name), (version, _) in told.items() if self._version(kind, name) != version)
        replaced = {kind: self._decoded(kind, told) for kind in changed}
        self._kinds.update(replaced)
        self._versions = {key: version for key, (version, _) in told.items()}

    def _version(self, kind: str, name: str) -> int | None:
        return self._versions.get((kind, name))

    def _decoded(self, kind: str, told: Mapping[tuple[str, str], tuple[int, bytes]]) -> dict[str, Mapping[str, str]]:
        known = self.of(kind)
        return {
            name: known[name]
            if self._version(kind, name) == version
            else SettingRecord.decode(body, f"{kind} settings of {name!r} in the view").values
            for (one, name), (version, body) in told.items()
            if one == kind
        }
