"""What a Redis held at one moment, to be put back in its place later, at once, as a restore from a backup does."""

from typing import Any

_FOR_EVER, _GONE = -1, -2  # as PTTL says


class OldCopy:
    """One copy of all that a server holds."""

    def __init__(self, client: Any) -> None:
        """`client`: of redis-py, to the server; not of a cluster."""
        self._client = client
        self._dumps: dict[bytes, tuple[int, bytes]] = {}  # key → time to live in ms (0: for ever), as DUMP gave it

    def take(self) -> None:
        """Keep what is there now."""
        self._dumps = {}
        for key in list(self._client.scan_iter()):
            dump, ttl_ms = self._client.dump(key), self._client.pttl(key)
            if dump is not None and ttl_ms != _GONE:
                self._dumps[key] = (0 if ttl_ms == _FOR_EVER else max(ttl_ms, 1), dump)

    def put_back(self) -> None:
        """Forget everything since."""
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.flushall()
            for key, (ttl_ms, dump) in self._dumps.items():
                pipeline.restore(key, ttl_ms, dump)
            pipeline.execute()
