"""Who a client is by its certificate: its name as Java writes it, and Kafka's rules that make a user of that.

`ssl.principal.mapping.rules` (KIP-371): RULE:pattern/replacement/[LU] or DEFAULT, with commas between.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from infra.config_value import BadValue

ANONYMOUS = "User:ANONYMOUS"

_KEYWORDS = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "streetAddress": "STREET",
    "userId": "UID",
}
_EMAIL = "1.2.840.113549.1.9.1"
_RULE = re.compile(
    r"\s*(?:(?P<default>DEFAULT)|RULE:(?P<pattern>(?:\\.|[^\\/])*)/(?P<text>(?:\\.|[^\\/])*)/(?P<case>[LU]?))\s*(?:,|$)"
)
_REFERENCE = re.compile(r"\\(.)|\$(\d)")

Rule = Callable[[str], str | None]


def principal_of(user: str) -> str:
    """As Kafka writes it."""
    return f"User:{user}"


def is_principal(text: str) -> bool:
    """Whether it is written as Kafka writes them: KIND:NAME."""
    kind, colon, name = text.partition(":")
    return bool(kind and colon and name)


def distinguished_name(certificate: Mapping[str, Any]) -> str:
    """The subject of a certificate (as `SSLSocket.getpeercert` tells it) by RFC 2253, the last part first."""
    parts = ["+".join(_attribute(*pair) for pair in part) for part in certificate["subject"]]
    return ",".join(reversed(parts))


class PrincipalRules:
    """`ssl.principal.mapping.rules`, parsed."""

    def __init__(self, text: str) -> None:
        """Raises `BadValue`."""
        self._rules = [*_parse(text)]

    def user(self, name: str) -> str | None:
        """What the first rule that matches makes of a distinguished name; None when none does."""
        return next((user for rule in self._rules if (user := rule(name)) is not None), None)


def _parse(text: str) -> list[Rule]:
    rules: list[Rule] = []
    position = 0
    while position < len(text):
        found = _RULE.match(text, position)
        if found is None:
            raise BadValue(f"has no rule at {text[position:]!r}; write RULE:pattern/replacement/[LU] or DEFAULT")
        rules.append(_whole if found["default"] else _rule(found["pattern"], found["text"], found["case"]))
        position = found.end()
    return rules or [_whole]


def _whole(name: str) -> str:
    return name


def _rule(pattern: str, replacement: str, case: str) -> Rule:
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise BadValue(f"has the pattern {pattern!r}, which is none: {error}") from None

    def apply(name: str) -> str | None:
        match = wanted.fullmatch(name)
        if match is None:
            return None

        def reference(found: re.Match[str]) -> str:
            return found[1] if found[1] is not None else match[int(found[2])] or ""

        user = _REFERENCE.sub(reference, replacement)
        return user.lower() if case == "L" else user.upper() if case == "U" else user

    groups = [int(number) for _, number in _REFERENCE.findall(replacement) if number]
    if max(groups, default=0) > wanted.groups:
        raise BadValue(f"has the replacement {replacement!r}, but the pattern {pattern!r} has {wanted.groups} groups")
    return apply


def _attribute(name: str, value: str) -> str:
    if name == "emailAddress":  # Java knows no keyword for it and writes its encoding: an IA5String
        encoded = value.encode("ascii", "replace")
        return f"{_EMAIL}=#16{len(encoded):02x}{encoded.hex()}"
    return f"{_KEYWORDS.get(name, name)}={_escape(value)}"


def _escape(value: str) -> str:
    escaped = re.sub(r'([,+"\\<>;])', r"\\\1", value)
    if escaped.startswith((" ", "#")):
        escaped = "\\" + escaped
    if escaped.endswith(" ") and len(value) > 1:
        escaped = escaped[:-1] + "\\ "
    return escaped
