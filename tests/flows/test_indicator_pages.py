"""The page on indicators and the wide view are those that the declarations give."""

import pytest

from flows.indicator_pages import PAGE, VIEW, main, page, view
from flows.kernels.indicators.patterns import PATTERNS
from flows.kernels.indicators.registry import DEFAULT_INDICATORS, INDICATORS


def test_the_committed_page_is_the_derived_one() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m flows.indicator_pages`"


def test_the_committed_view_is_the_derived_one() -> None:
    derived = view(DEFAULT_INDICATORS)
    assert VIEW.read_text(encoding="utf-8") == derived, "run `python -m flows.indicator_pages`"


def test_every_indicator_is_on_the_page_with_its_definition_and_source() -> None:
    sections = page().split("\n## ")[1:]
    for section, indicator in zip(sections, INDICATORS.values(), strict=True):
        assert section.startswith(f"{indicator.name}\n")
        assert indicator.definition in section
        assert indicator.source in section
        assert indicator.default_name in section
    assert all(f"| `cdl_{name}` |" in sections[-1] for name in PATTERNS)


def test_the_view_of_other_indicators_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["rsi_21", "bbands_20_2.5_upper"])
    printed = capsys.readouterr().out
    assert "    anyIf(value, name = 'rsi_21') AS rsi_21,\n" in printed
    assert "    anyIf(value, name = 'bbands_20_2.5_upper') AS `bbands_20_2.5_upper`\n" in printed
