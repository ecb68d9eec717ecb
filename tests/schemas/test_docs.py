"""The page on topics is the one the declarations give."""

from schemas.docs import PAGE, page
from schemas.registry import TOPICS


def test_the_committed_page_is_the_derived_one() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m schemas.docs`"


def test_every_field_of_every_topic_is_on_the_page_with_its_meaning() -> None:
    sections = page().split("\n## ")[1:]
    for section, topic in zip(sections, TOPICS.values(), strict=True):
        for field in topic.fields:
            assert f"| `{field.name}` |" in section
            assert field.meaning in section
