"""Colours of the two themes: text is readable on what it lies on (WCAG 2.2, success criteria 1.4.3 and 1.4.11)."""

import re
from pathlib import Path

import pytest

from serving.dashboard import page
from tests.serving.dashboard.contrast import contrast

THEME = (Path(page.__file__).parent / "static" / "theme.css").read_text()
# What text of each colour may lie on.
GROUNDS = ("page", "panel", "raised")
TEXTS = ("text", "muted", "accent", "up", "down")
ON = (("on-accent", "accent"), ("on-warn", "warn"))


def _colours(theme: str) -> dict[str, str]:
    blocks = {
        "dark": re.search(r":root \{(.*?)\}", THEME, re.DOTALL),
        "light": re.search(r':root\[data-theme="light"\] \{(.*?)\}', THEME, re.DOTALL),
    }
    block = blocks[theme]
    assert block is not None
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block[1]))


def test_the_contrast_of_black_on_white_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_text_has_a_contrast_of_at_least_4_5(theme: str) -> None:
    colours = _colours(theme)
    pairs = [*((text, ground) for text in TEXTS for ground in GROUNDS), *ON]
    weak = {
        pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2)
        for pair in pairs
        if contrast(colours[pair[0]], colours[pair[1]]) < 4.5
    }
    assert not weak
