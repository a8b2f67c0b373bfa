"""Do readers see a transaction only once it is committed, and then the whole of it?"""

from collections.abc import Iterator

from tests.checker.evidence import Evidence, Fate, Transaction
from tests.checker.finding import Finding, name_of, place
from tests.checker.history import Operation, Send


def check_reads(evidence: Evidence) -> Iterator[Finding]:
    """Polls of what was not committed, or not yet; each value is named once.

    `aborted-read`: the send surely failed or its transaction was aborted. `own-uncommitted-read`: the poll is part of
    the transaction that sent the value. `uncommitted-read`: the poll ended before the operation that committed began.
    """
    told: set[tuple[str, int]] = set()
    for operation in evidence:
        for partition, offset, value in operation.polls:
            sent = evidence.sent.get(value)
            if sent is None or (sent[0].transaction is None and sent[0].status != "fail"):
                continue
            kind = _wrong_read(evidence, operation, *sent)
            if kind is None or (kind, value) in told:
                continue
            told.add((kind, value))
            sentence = f"{name_of(operation)} polled value {value} {place(partition, offset)}"
            yield Finding(kind, f"{sentence}, which was sent by {name_of(sent[0])}")


def _wrong_read(evidence: Evidence, reader: Operation, writer: Operation, send: Send) -> str | None:
    transaction = evidence.transaction_of(writer)
    if transaction is not None and evidence.transaction_of(reader) is transaction:
        return "own-uncommitted-read"
    if evidence.fate(writer, send) is Fate.REFUSED:
        return "aborted-read"
    if transaction is not None and transaction.committed and reader.ended < transaction.last.began:
        return "uncommitted-read"
    return None


def check_wholeness(evidence: Evidence, read_to_end: bool) -> Iterator[Finding]:
    """`torn-transaction`: readers were given a part of a transaction and went past the rest of it, or to the end.

    What was seen proves that the transaction was committed, whatever its client was told.
    """
    for transaction in evidence.transactions.values():
        sends = [(operation, send) for operation in transaction.operations for send in operation.sends]
        seen = [send.value for _, send in sends if send.value in evidence.polled]
        if not seen or transaction.committed is False:
            continue
        missed = [send.value for operation, send in sends if _is_missed(evidence, operation, send, read_to_end)]
        if missed:
            yield Finding("torn-transaction", _torn(transaction, seen, missed))


def _is_missed(evidence: Evidence, operation: Operation, send: Send, read_to_end: bool) -> bool:
    if send.value in evidence.polled or operation.status == "fail":
        return False
    passed = send.offset is not None and send.offset <= evidence.highest.get(send.partition, -1)
    return passed or read_to_end


def _torn(transaction: Transaction, seen: list[int], missed: list[int]) -> str:
    told = {True: "committed", None: "of unknown outcome"}[transaction.committed or None]
    sentence = (
        f"transaction {transaction.name!r} of process {transaction.process}, {told}: values {seen[:8]} were polled"
    )
    return f"{sentence}, values {missed[:8]} never ({len(seen)} and {len(missed)} in all)"
