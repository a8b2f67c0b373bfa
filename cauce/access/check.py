"""What a line of the table of checks says."""

from dataclasses import dataclass
from types import ModuleType

from cauce.access.asking import Guard


@dataclass(frozen=True, slots=True)
class Check:
    """One API: what its client needs (operation and resource, for people), and the check itself."""

    api: ModuleType  # of infra.wire.messages
    needs: str
    guard: Guard

    @property
    def api_key(self) -> int:
        """Kafka's number of the API."""
        return int(self.api.API_KEY)
