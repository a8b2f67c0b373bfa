"""How long clients must wait that have used more than their quotas. Plain: time is given.

A client may use a second's worth at once. What it uses beyond that is a debt, and it waits until its rate has paid it:
so the rate holds however large single requests are, and a connection is never kept from its first one.
"""

from collections import OrderedDict

from infra.security.quota import Client, Limit, Quotas

BURST_SECONDS = 1.0
_REMEMBERED = 10_000  # clients choose their ids, so those that are remembered must have an end


class _Allowance:
    """What is left to one client; negative: its debt."""

    __slots__ = ("_at", "_left")

    def __init__(self, rate: float, now: float) -> None:
        self._left = rate * BURST_SECONDS
        self._at = now

    def use(self, amount: float, rate: float, now: float) -> float:
        """Seconds until it is paid."""
        self._left = min(rate * BURST_SECONDS, self._left + rate * (now - self._at)) - amount
        self._at = now
        return max(0.0, -self._left / rate)


class Throttle:
    """What every client has used. `quotas` may be replaced at any time."""

    def __init__(self, quotas: Quotas | None = None) -> None:
        self.quotas = quotas or Quotas()
        self._allowances: OrderedDict[Client, _Allowance] = OrderedDict()  # least recently used first

    def limit(self, key: str, principal: str, client_id: str | None) -> Limit | None:
        """What counts for who asks; the user is a principal ("User:NAME")."""
        return self.quotas.limit(key, principal.partition(":")[2], client_id or "")

    def use(self, key: str, principal: str, client_id: str | None, amount: float, now: float) -> float:
        """A client uses some of its rate; how many seconds it must wait then. An amount of 0 only asks."""
        limit = self.limit(key, principal, client_id)
        if limit is None:
            return 0.0
        allowance = self._allowances.get(limit.client)
        if allowance is None:
            if len(self._allowances) >= _REMEMBERED:
                self._allowances.popitem(last=False)
            allowance = self._allowances[limit.client] = _Allowance(limit.rate, now)
        else:
            self._allowances.move_to_end(limit.client)
        return allowance.use(amount, limit.rate, now)
