"""What the nodes say and the proxies count, as numbers that tell whether a fault took effect."""

import re
from collections import Counter
from collections.abc import Sequence

from tests.chaos.node_party import NodeParty

# counter → how a line of a node's log looks that counts for it; a group is a number to add instead of one
_LINES = {
    "leases taken": re.compile(r"took ([1-9]\d*) leases of"),
    "fenced sessions": re.compile(r"cluster\.session: session \S+ is over"),
    "fences found": re.compile(r"its fence was found"),
    "fenced leases": re.compile(r"knows a later leader epoch"),
    "WAL returns": re.compile(r"returned from the WAL up to"),
    "waits for a WAL": re.compile(r"(\d+) partitions wait for the nodes whose disks"),
    "views built": re.compile(r"built the view: incarnation"),
    "view repairs": re.compile(r"the view has forgotten extents|the publish of \S+ (has to wait|goes on)"),
    "Redis missed": re.compile(r"the view does not answer|cannot be renewed now|cannot be told"),
    "store missed": re.compile(r"has to wait:|object store|cannot be taken now"),
    "full disks": re.compile(r"disk is full|No space left|File too large"),
    "unclean elections": re.compile(r"unclean election"),
    "compactions": re.compile(r": version \d+ has offsets"),
    "compactions that lost": re.compile(r"another compactor changed|gave up, version"),
    "garbage": re.compile(r"deleted (\d+) objects"),
}
_ERROR = re.compile(r"^[\d:.]+ error +(\S+): (.*)$")
_NUMBERS = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d+")


class Evidence:
    """Counts over all nodes; `look` reads what is new."""

    def __init__(self) -> None:
        self.lines: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()  # error lines without their numbers
        self._read: dict[str, int] = {}  # node → characters of its output seen

    def look(self, nodes: Sequence[NodeParty]) -> None:
        """Read what the nodes printed since, and add it to their log files."""
        for node in nodes:
            seen = self._read.get(node.name, 0)
            whole = node.process.output
            new = whole[seen : whole.rfind("\n") + 1]
            if new:
                self._read[node.name] = seen + len(new)
                with node.log.open("a") as log:
                    log.write(new)
                for line in new.splitlines():
                    self._count(line)

    def totals(self, nodes: Sequence[NodeParty]) -> Counter[str]:
        """Everything counted so far, the proxies' counts too."""
        found = Counter(self.lines)
        for node in nodes:
            found.update({f"store {name}": count for name, count in node.store.counts.items()})
            found.update({f"clients {name}": count for name, count in node.clients.counts.items()})
            found.update({f"redis {name}": count for name, count in node.redis.counts.items()})
        return found

    def _count(self, line: str) -> None:
        for name, pattern in _LINES.items():
            if found := pattern.search(line):
                self.lines[name] += int(found[1]) if pattern.groups and (found[1] or "").isdecimal() else 1
        if found := _ERROR.match(line):
            self.errors[f"{found[1]}: {_NUMBERS.sub('#', found[2])}"] += 1
