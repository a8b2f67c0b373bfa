"""The table of clients and cases that docs/compatibility.md is: made from a run, never by hand."""

from collections import Counter

from tests.wire.cases import CASES

PASS, FAIL, LEFT_OUT = "pass", "fail", "left out"


class Outcomes:
    """How each case went with each client."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], str] = {}
        self._versions: dict[str, str] = {}
        self._notes: dict[tuple[str, str], str] = {}

    def client(self, client: str, version: str) -> None:
        """A client takes part."""
        self._versions[client] = version

    def add(self, client: str, case: str, outcome: str, note: str = "") -> None:
        """One case went like this; `note` says why it was left out."""
        self._rows[client, case] = outcome
        if note:
            self._notes[client, case] = note

    def of(self, client: str) -> Counter[str]:
        """How many cases went how."""
        return Counter(outcome for (name, _), outcome in self._rows.items() if name == client)

    def markdown(self) -> str:
        """The page."""
        clients = list(self._versions)
        lines = [
            "# Compatibility",
            "",
            "Made by `python -m pytest tests/wire --compatibility docs/compatibility.md`: every case is a real client",
            "against a real node. *left out*: the client has no such feature, its suite leaves the case out, or it was",
            "not there.",
            "",
            "| case | " + " | ".join(f"{name} {self._versions[name]}" for name in clients) + " |",
            "|---" * (len(clients) + 1) + "|",
        ]
        for name, case in CASES.items():
            cells = [self._rows.get((client, name), LEFT_OUT) for client in clients]
            lines.append(f"| {name.partition('_')[0]}: {case.__doc__} | " + " | ".join(cells) + " |")
        totals = [self.of(client) for client in clients]
        lines.append("| **passed** | " + " | ".join(f"**{total[PASS]}** of {len(CASES)}" for total in totals) + " |")
        notes = sorted({f"- {client}: {note}" for (client, _), note in self._notes.items()})
        if notes:
            lines += ["", "Why cases were left out:", "", *notes]
        return "\n".join(lines) + "\n"
