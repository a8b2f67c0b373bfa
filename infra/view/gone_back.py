"""Notices that Redis has gone back under an incarnation: it failed over to a replica that lags, or an old copy was put
in its place. What is there then was true once and says nothing now.

Plain: the client of one node tells it what it sees. What shows it: the generation is lower than it was, a session has
lapsed that this client renewed within its time to live, or an incarnation is back that another one had followed. What
shows nothing of this is mended where it is met, as publishes do that find a gap.
"""

from infra.partition import SessionId


class GoneBack:
    """One client's memory of one Redis, shared with its siblings."""

    def __init__(self) -> None:
        self.distrusted: set[str] = set()  # incarnations that have gone back, or that others have followed
        self._incarnation = ""
        self._generation = -1
        self._renewed: tuple[SessionId, float] | None = None  # valid until, monotonic seconds

    def use(self, incarnation: str) -> None:
        """An incarnation is used from now on."""
        if incarnation == self._incarnation:
            return
        if self._incarnation:
            self.distrusted.add(self._incarnation)
        self.distrusted.discard(incarnation)
        self._incarnation, self._generation, self._renewed = incarnation, -1, None

    def saw_generation(self, generation: int) -> None:
        """It only rises under one incarnation."""
        if generation < self._generation:
            self.distrusted.add(self._incarnation)
        self._generation = max(self._generation, generation)

    def renewed(self, session: SessionId, until: float) -> None:
        """A session was entered or renewed, and cannot lapse before that moment."""
        self._renewed = (session, until)

    def dropped(self, session: SessionId) -> None:
        """A session was left."""
        if self._renewed is not None and self._renewed[0] == session:
            self._renewed = None

    def lapsed(self, session: SessionId, now: float) -> None:
        """A session was said to have lapsed, and not because its node has registered again."""
        if self._renewed is not None and self._renewed[0] == session and now < self._renewed[1]:
            self.distrusted.add(self._incarnation)
