"""Names in certificates as Java writes them, and Kafka's mapping rules, with the examples of its documentation."""

import pytest

from infra.config_value import BadValue
from infra.security.principal import PrincipalRules, distinguished_name

_NAME = "CN=serviceuser,OU=ServiceUsers,O=Unknown,L=Unknown,ST=Unknown,C=Unknown"


def test_names_are_written_backwards_with_keywords_and_escapes() -> None:
    subject = ((("countryName", "ES"),), (("organizationName", "Cauce, tests"),), (("commonName", " #a+b "),))
    assert distinguished_name({"subject": subject}) == "CN=\\ #a\\+b\\ ,O=Cauce\\, tests,C=ES"


def test_two_attributes_in_one_part_and_an_address_of_mail() -> None:
    subject = ((("commonName", "a"), ("userId", "u")), (("emailAddress", "a@b"),))
    assert distinguished_name({"subject": subject}) == "1.2.840.113549.1.9.1=#1603614062,CN=a+UID=u"


@pytest.mark.parametrize(
    ("rules", "name", "user"),
    [
        ("", _NAME, _NAME),
        ("DEFAULT", _NAME, _NAME),
        ("RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/", _NAME, "serviceuser"),
        (
            "RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/,RULE:^CN=(.*?),OU=(.*?),O=(.*?),L=(.*?),ST=(.*?),C=(.*?)$/$1@$2/L,"
            "RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/L,DEFAULT",
            "CN=adminUser,OU=Admin,O=Unknown,L=Unknown,ST=Unknown,C=Unknown",
            "adminuser@admin",
        ),
        ("RULE:^CN=(\\w+).*$/$1/U , DEFAULT", "CN=kim,O=x", "KIM"),
        ("RULE:^CN=a$/b/", _NAME, None),
        ("RULE:^CN=(.*)$/\\$1\\/$1/", "CN=x", "$1/x"),
    ],
)
def test_rules(rules: str, name: str, user: str | None) -> None:
    assert PrincipalRules(rules).user(name) == user


@pytest.mark.parametrize("rules", ["RULE", "RULE:a/b", "RULE:(/b/", "RULE:a/$1/", "RULE:a/b/X", "DEFAULT,else"])
def test_rules_that_are_none(rules: str) -> None:
    with pytest.raises(BadValue):
        PrincipalRules(rules)
