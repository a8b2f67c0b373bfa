"""A little log that is correct, and clients that meet it as real ones do: the source of histories without a fault.

Requests get lost, and answers; what timed out may still be appended much later; transactions stay open, overlap, are
aborted or end without an answer; groups rebalance, also in the middle of an operation. Markers take offsets, and
readers stop before the first record of an open transaction.
"""

from dataclasses import dataclass, field, replace
from random import Random

from tests.checker.history import Kind, Operation, Partition, Poll, Send, Status

PARTITIONS: tuple[Partition, ...] = (("orders", 0), ("orders", 1), ("payments", 0))
STEPS = ("send", "poll", "begin", "end", "subscribe", "assign", "rebalance", "crash", "arrive")


@dataclass(slots=True, eq=False)
class ModelTransaction:
    """Open until `committed` is known; its markers stand in every partition that it wrote to."""

    name: str
    whole: bool  # one operation, or an operation for each step
    committed: bool | None = None
    operation: Operation | None = None
    partitions: set[Partition] = field(default_factory=set)


@dataclass(slots=True)
class _Client:
    process: int
    index: int = 0
    group: bool = False
    positions: dict[Partition, int] = field(default_factory=dict)
    transaction: ModelTransaction | None = None
    before: dict[Partition, int] = field(default_factory=dict)  # the positions when the transaction began


class Log:
    """Partitions of (value, transaction) in the order of offsets; a marker has no value."""

    def __init__(self) -> None:
        self._entries: dict[Partition, list[tuple[int | None, ModelTransaction | None]]] = {p: [] for p in PARTITIONS}

    def append(self, partition: Partition, value: int, transaction: ModelTransaction | None) -> int:
        if transaction is not None:
            transaction.partitions.add(partition)
        self._entries[partition].append((value, transaction))
        return len(self._entries[partition]) - 1

    def finish(self, transaction: ModelTransaction, committed: bool) -> None:
        transaction.committed = committed
        for partition in transaction.partitions:
            self._entries[partition].append((None, None))

    def read(self, partition: Partition, position: int, most: int) -> list[Poll]:
        polls: list[Poll] = []
        for offset, (value, transaction) in enumerate(self._entries[partition]):
            if self.is_unstable(transaction):
                break
            if value is not None and offset >= position and not self.is_aborted(transaction) and len(polls) < most:
                polls.append(Poll(partition, offset, value))
        return polls

    def end(self, partition: Partition) -> int:
        return len(self._entries[partition])

    def is_unstable(self, transaction: ModelTransaction | None) -> bool:
        return transaction is not None and transaction.committed is None

    def is_aborted(self, transaction: ModelTransaction | None) -> bool:
        return transaction is not None and transaction.committed is False


class Run:
    """Clients that take steps; `history` is what they wrote down. All choices within a step come from its seed."""

    def __init__(self, clients: int, log: Log) -> None:
        self.history: list[Operation] = []
        self._log = log
        self._clients = [_Client(process) for process in range(clients)]
        self._late: list[tuple[Send, ModelTransaction | None]] = []
        self._undecided: list[ModelTransaction] = []
        self._committed: dict[Partition, int] = {}
        self._time = 0.0
        self._value = 0
        self._random = Random(0)

    def step(self, name: str, process: int, seed: int) -> None:
        self._random = Random(seed)
        self._time += 1
        client = self._clients[process]
        {
            "send": self._send,
            "poll": self._poll,
            "begin": self._begin,
            "end": self._end,
            "subscribe": self._subscribe,
            "assign": self._assign,
            "rebalance": self._rebalance,
            "crash": self._crash,
            "arrive": self._arrive,
        }[name](client)

    def finish(self) -> list[Operation]:
        """Lets everything late arrive, ends what is open, and reads all partitions to the end."""
        while self._late:
            self._arrive(self._clients[0])
        for client in self._clients:
            self._crash(client)
        while self._undecided:
            self._decide()
        reader = _Client(len(self._clients))
        self._write(reader, "assign")
        for partition in PARTITIONS:
            polls = self._log.read(partition, 0, most=1 << 30)
            half = len(polls) // 2
            self._write(reader, "poll", polls=polls[:half])
            self._write(reader, "poll", polls=polls[half:])
        return self.history

    def _send(self, client: _Client) -> None:
        """Some sends are answered, some lost on the way there (then or for good), some on the way back."""
        transaction = client.transaction
        if transaction is None and self._random.random() < 0.1:
            self._write(client, "send", "fail", [self._new_send()])
            return
        sends: list[Send] = []
        ways = ["answered"] * 6 if transaction else ["answered"] * 6 + ["lost", "late", "unanswered"]
        for _ in range(self._random.randint(1, 3)):
            send = self._new_send()
            way = self._random.choice(ways)
            if way in ("answered", "unanswered"):
                offset = self._log.append(send.partition, send.value, transaction)
                send = send._replace(offset=offset if way == "answered" else None)
            elif way == "late":
                self._late.append((send, None))
            sends.append(send)
        known = all(send.offset is not None for send in sends)
        self._write(client, "send", "ok" if known else "info", sends)

    def _new_send(self) -> Send:
        self._value += 1
        return Send(self._random.choice(PARTITIONS), self._value)

    def _arrive(self, client: _Client) -> None:
        if self._late:
            send, transaction = self._late.pop(0)
            self._log.append(send.partition, send.value, transaction)
        if self._undecided:
            self._decide()

    def _decide(self) -> None:
        transaction = self._undecided.pop(self._random.randrange(len(self._undecided)))
        self._log.finish(transaction, self._random.random() < 0.5)

    def _poll(self, client: _Client) -> None:
        before = dict(client.positions)
        polls = self._read_some(client)
        moved: tuple[Partition, ...] = ()
        if client.group and self._random.random() < 0.3:
            moved = tuple(self._rebalance(client))
            polls += self._read_some(client)
        if client.group and client.transaction is None and self._random.random() < 0.5:
            self._committed.update(client.positions)
        failed = client.transaction is None and self._random.random() < 0.2
        self._write(client, "poll", "info" if failed else "ok", polls=polls, repositioned=moved)
        if failed and not client.group and self._random.random() < 0.5:
            client.positions = before

    def _read_some(self, client: _Client) -> list[Poll]:
        polls: list[Poll] = []
        for partition, position in client.positions.items():
            batch = self._log.read(partition, position, self._random.randint(0, 6))
            if batch:
                client.positions[partition] = batch[-1].offset + 1
            polls += batch
        return polls

    def _begin(self, client: _Client) -> None:
        if client.transaction is None:
            client.transaction = ModelTransaction(f"t{self._time:.0f}", whole=self._random.random() < 0.5)
            client.before = dict(client.positions)

    def _end(self, client: _Client) -> None:
        transaction = client.transaction
        if transaction is None:
            return
        ending = self._random.choice(["commit", "commit", "abort", "unanswered commit", "late"])
        if ending == "late":
            self._undecided.append(transaction)
        else:
            self._log.finish(transaction, ending != "abort")
        committed = {"commit": True, "abort": False}.get(ending)
        self._close(client, transaction, committed)

    def _close(self, client: _Client, transaction: ModelTransaction, committed: bool | None) -> None:
        if not transaction.whole:
            self._write(client, "commit", "info" if committed is None else "ok", committed=committed)
        elif transaction.operation is not None:
            status: Status = "info" if committed is None else "ok" if committed else "fail"
            self.history.append(
                replace(transaction.operation, status=status, committed=committed, ended=self._time + 0.5)
            )
        client.transaction = None
        if committed is not True and not client.group:
            client.positions = {p: client.before.get(p, position) for p, position in client.positions.items()}

    def _crash(self, client: _Client) -> None:
        """The transaction that the crash left open is aborted in the end, sooner or later."""
        transaction = client.transaction
        if transaction is not None:
            if transaction.whole and transaction.operation is not None:
                self.history.append(replace(transaction.operation, status="info", ended=self._time))
            self._log.finish(transaction, committed=False)
            client.transaction = None
        client.group = False
        client.positions = {}
        self._write(client, "crash")

    def _subscribe(self, client: _Client) -> None:
        if client.transaction is None:
            client.group = True
            client.positions = {}
            self._rebalance(client)
            self._write(client, "subscribe")

    def _assign(self, client: _Client) -> None:
        if client.transaction is None:
            client.group = False
            assigned = [partition for partition in PARTITIONS if self._random.random() < 0.7]
            client.positions = {p: self._random.randint(0, self._log.end(p)) for p in assigned}
            self._write(client, "assign")

    def _rebalance(self, client: _Client) -> list[Partition]:
        """Deals the partitions anew, at what the group committed; the ones that the client had or now has."""
        members = [member for member in self._clients if member.group]
        moved = {member.process: set(member.positions) for member in self._clients}
        for member in members:
            member.positions = {}
        for partition in PARTITIONS if members else ():
            owner = self._random.choice(members)
            owner.positions[partition] = self._committed.get(partition, 0)
        for member in members:
            moved[member.process].update(member.positions)
            transaction = member.transaction
            if transaction is not None and transaction.operation is not None:
                noted = (*transaction.operation.repositioned, *sorted(moved[member.process]))
                transaction.operation = replace(transaction.operation, repositioned=noted)
        return sorted(moved[client.process])

    def _write(
        self,
        client: _Client,
        kind: Kind,
        status: Status = "ok",
        sends: list[Send] | None = None,
        polls: list[Poll] | None = None,
        committed: bool | None = None,
        repositioned: tuple[Partition, ...] = (),
    ) -> None:
        transaction = client.transaction
        name = None if transaction is None else transaction.name
        operation = Operation(client.process, client.index, kind, status, tuple(sends or ()), tuple(polls or ()), name)
        operation = replace(
            operation, committed=committed, began=self._time, ended=self._time + 0.5, repositioned=repositioned
        )
        if transaction is None or not transaction.whole:
            client.index += 1
            self.history.append(operation)
            return
        gathered = transaction.operation
        if gathered is None:
            client.index += 1
            transaction.operation = operation
            return
        transaction.operation = replace(
            gathered,
            sends=gathered.sends + operation.sends,
            polls=gathered.polls + operation.polls,
            repositioned=gathered.repositioned + operation.repositioned,
        )
