"""The page of all settings says what the dataclasses say."""

from tests.config.settings_page import PAGE, page


def test_the_page_is_made_from_the_dataclasses():
    assert PAGE.read_text() == page(), "make it again: python -m tests.config.settings_page"
