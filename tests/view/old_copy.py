"""What a Redis held at one moment, to be put back in its place later, at once, as a restore from a backup does."""

from typing import Any


class OldCopy:
    """One copy of all that a server holds."""

    def __init__(self, client: Any) -> None:
        """`client`: of redis-py, to the server; not of a cluster."""
        self._client = client
        self._dumps: dict[bytes, tuple[int, bytes]] = {}  # key → time to live in ms (0: for ever), as DUMP gave it

    def take(self) -> None:
        """Keep what is there now."""
        keys = self._client.keys()
        found = {key: (max(self._client.pttl(key), 0), self._client.dump(key)) for key in keys}
        self._dumps = {key: (ttl_ms, dump) for key, (ttl_ms, dump) in found.items() if dump is not None}

    def put_back(self) -> None:
        """Forget everything since."""
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.flushall()
            for key, (ttl_ms, dump) in self._dumps.items():
                pipeline.restore(key, ttl_ms, dump)
            pipeline.execute()
