"""Upgrade a cluster from the fixtures' release to this one, node after node; run the wire suite at each stage.

    python -m tests.upgrade

Three nodes on a Redis and a real S3 server. Ends with 1 when anything was lost or a case failed.
"""

import argparse
import logging
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.servers import credentials, seaweed
from tests.upgrade.release import Absent, earlier, present
from tests.upgrade.rolling import EAGER, Upgrade
from tests.upgrade.suite import CLIENTS
from tests.wire import peers


def main() -> None:
    names = [one.name for one in (*CLIENTS, *peers.PEERS)]
    parser = argparse.ArgumentParser(prog="python -m tests.upgrade", description="A rolling upgrade under load.")
    parser.add_argument("--clients", default=",".join(names), help="libraries that run the cases, with commas")
    parser.add_argument("--session", type=float, default=6, help="session time-out of the nodes, in seconds")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)  # clients tell of every node that is away, which is what happens here
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no node is left over
    wanted = arguments.clients.split(",")
    with tempfile.TemporaryDirectory(prefix="cauce-upgrade-") as name:
        folder = Path(name)
        try:
            old = earlier(folder)
        except Absent as reason:
            print(f"skipped: {reason}")
            return
        new = present(*(word for name, value in EAGER.items() for word in ("--set", f"{name}={value}")))
        with credentials(), seaweed() as server:
            clients = [client for client in CLIENTS if client.name in wanted]
            upgrade = Upgrade(folder, server, (old, new), clients, _commands(folder, wanted), arguments.session)
            upgrade.run()
    sys.exit(1 if upgrade.failed else 0)


def _commands(folder: Path, wanted: Sequence[str]) -> dict[str, list[str]]:
    found = {}
    for peer in peers.PEERS:
        if peer.name in wanted:
            place = folder / peer.name
            place.mkdir()
            try:
                found[peer.name] = peer.prepare(place)
            except peers.Absent as reason:
                print(f"{peer.name} is left out: {reason}")
    return found


if __name__ == "__main__":
    main()
