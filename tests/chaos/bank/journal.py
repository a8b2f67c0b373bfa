"""What those who write know of their transfers and orders, for the checker; from any thread."""

import threading

from tests.chaos.bank.entries import Transfer


class Journal:
    """Grows through a run."""

    def __init__(self) -> None:
        self.transfers: list[Transfer] = []
        self.orders: dict[int, bool] = {}  # value → whether it was acknowledged
        self.carried_out = 0  # orders, surely
        self._lock = threading.Lock()

    def begin(self, transfer: Transfer) -> None:
        """It may stand in the books from now on."""
        with self._lock:
            self.transfers.append(transfer)

    def end(self, transfer: Transfer, committed: bool | None) -> None:
        """What became of it is known, or nobody will know (None)."""
        with self._lock:
            transfer.committed = committed
            self.carried_out += bool(committed and transfer.entries[0].order)

    def order(self, value: int, *, acknowledged: bool = False) -> None:
        """An order leaves its writer, or was acknowledged."""
        with self._lock:
            self.orders[value] = acknowledged
