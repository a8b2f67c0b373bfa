"""`sasl.jaas.config` of Kafka's client properties: a login module and its options. Only what is read from it.

org.apache.kafka.common.security.scram.ScramLoginModule required username="kim" password="it\\"s";
"""

import re

from infra.errors import BadStart

_OPTION = re.compile(r'\s*([A-Za-z0-9_.-]+)\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^\s;"]+))')
_MODULE = re.compile(r"\s*[\w.$]+\s+(?:required|requisite|sufficient|optional)\b", re.IGNORECASE)


def jaas_options(text: str) -> dict[str, str]:
    """The options of the module. Raises `BadStart` that repeats none of them."""
    module = _MODULE.match(text)
    position = module.end() if module else 0
    options = {}
    while module and (found := _OPTION.match(text, position)):
        value = found[3] if found[2] is None else re.sub(r"\\(.)", r"\1", found[2])
        options[found[1]] = value
        position = found.end()
    if not module or text[position:].strip() not in (";", ""):
        raise BadStart('sasl.jaas.config is not MODULE required NAME="VALUE" …; as Kafka writes it')
    return options
