"""A cluster whose nodes change their release one by one, each on its own folder and at its own address."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cauce.testing import CauceProcess
from tests.cauce.cluster import ThreeNodes, shared_redis
from tests.patience import PATIENCE
from tests.servers import kept_ports
from tests.upgrade.release import Release

_SETTINGS = {"cauce.flush.interval.ms": "250", "group.initial.rebalance.delay.ms": "0"}


class MixedNodes(ThreeNodes):
    """Nodes of two releases on one bucket and one Redis."""

    def __init__(
        self, folder: Path, bucket: str, redis: str, releases: Sequence[Release], session_seconds: float
    ) -> None:
        self.folder = folder
        self.redis = redis
        self.releases = list(releases)
        self._failed: BaseException | None = None
        self._options = ["--bucket", bucket, "--redis", redis]
        settings = {**_SETTINGS, "cauce.session.timeout.ms": str(int(1000 * session_seconds))}
        self._options += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        self._addresses = [f"127.0.0.1:{port}" for port in kept_ports(len(releases))]
        super().__init__([self._node(number) for number in range(len(releases))])

    def _node(self, number: int) -> CauceProcess:
        release = self.releases[number]
        return CauceProcess(
            self.folder / f"node-{number}",
            listen=self._addresses[number],
            options=[*self._options, *release.options],
            command="node",
            environment=release.environment,
        )

    def change(self, number: int, release: Release, *, kill: bool = False) -> None:
        """End a node, cleanly or by kill -9, and start it again on its folder as another release."""
        node = self.nodes[number]
        if kill:
            node.kill()
        else:
            assert node.stop(30 * PATIENCE) == 0, node.output
        self.releases[number] = release
        self.nodes[number] = self._node(number).start()

    def print_ends(self, error: BaseException) -> None:
        """Of what each node said, once when something has failed."""
        if error is not self._failed:
            self._failed = error
            print(f"failed: {error!r}")
            for node in self.nodes:
                print(f"the end of what {node.bootstrap} said:\n{node.output[-3000:]}", flush=True)

    @property
    def told(self) -> str:
        """Which release each node runs."""
        return " ".join(release.name for release in self.releases)


@contextmanager
def mixed_nodes(
    folder: Path, bucket: str, releases: Sequence[Release], session_seconds: float = 6
) -> Iterator[MixedNodes]:
    """The cluster, running; what is left of it is ended."""
    for release in dict.fromkeys(releases):
        release.check()
    with shared_redis(folder) as redis:
        cluster = MixedNodes(folder, bucket, redis, releases, session_seconds)
        try:
            for node in cluster.nodes:
                node.start()
            yield cluster
        except BaseException as error:
            cluster.print_ends(error)
            raise
        finally:
            for node in cluster.nodes:
                node.kill()
