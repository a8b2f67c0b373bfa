"""docs/models.md tells every model and every rule."""

from pathlib import Path

from tests.models.catalogue import CATALOGUE

_PAGE = Path(__file__).parents[2] / "docs" / "models.md"


def test_the_page_names_every_model_and_rule() -> None:
    page = _PAGE.read_text()
    rules = [
        f"| {modelled.name} | {name} | {rule.says} |" for modelled in CATALOGUE for name, rule in modelled.rules.items()
    ]
    assert [line for line in page.splitlines() if line in rules] == rules
    assert all(f"**{modelled.name}**" in page for modelled in CATALOGUE)
