"""The page of language models in a real browser, by keyboard and by mouse."""

import pytest

from lm_jax.queries import generate, next_tokens
from tests.serve.browser import Page, serving


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(models):
    with serving(models) as address:
        yield address


@pytest.fixture
def page(driver, address):
    page = Page(driver, address)
    page.until(lambda: page.all("#bars .panel .bar"))
    yield page
    wrong = [entry["message"] for entry in driver.get_log("browser") if "400 (Bad Request)" not in entry["message"]]
    assert not wrong  # errors of the script, and what the policy of the page refuses


def test_typing_shows_both_models_and_tab_takes_the_likeliest(page, key, runs):
    page.keys("a cab")
    page.until(lambda: len(page.tokens(1)) == 5 and len(page.tokens(2)) == 2)
    best = {name: next_tokens(run, "a cab", 10) for name, run in runs.items()}
    bars = page.texts("#bars .panel .bar .name")
    assert len(bars) == sum(map(len, best.values()))
    assert bars[0] == best["chars"][0].token.replace(" ", "␣").replace("\n", "⏎")
    assert page.texts("#bars h3") == ["chars", "words"]
    assert all("nats, as of" in text for text in page.texts("#bars .panel > p"))
    page.keys(key.TAB)
    assert page.one("#text").get_attribute("value") == "a cab" + best["chars"][0].token
    page.until(lambda: len(page.tokens(1)) == 6)


def test_the_box_can_be_left_by_keyboard_and_tokens_are_read_by_arrows(page, key):
    page.keys("a cab bad")
    page.until(lambda: len(page.tokens(1)) == 9)
    page.keys(key.ESCAPE)
    page.keys(key.TAB)
    assert page.driver.switch_to.active_element.get_attribute("class") == "token"
    page.keys(key.END)
    page.keys(key.ARROW_LEFT)
    detail = page.one("#detail").text
    assert detail.startswith("chars: “a” had probability") and "rank" in detail and "entropy" in detail


def test_a_text_that_a_model_cannot_read_is_told_in_words(page, key):
    page.keys("a z")
    page.until(lambda: page.one("#error").is_displayed())
    assert "must be in the vocabulary" in page.one("#error").text
    assert page.tokens(1) == [] and page.all("#bars .panel:first-child .bar") == []  # nothing of the text before
    page.keys(key.TAB)
    assert page.one("#text").get_attribute("value") == "a z"
    page.put("#text", "a cab")
    page.until(lambda: not page.one("#error").is_displayed() and len(page.tokens(1)) == 5)


def test_a_model_can_be_put_aside(page):
    page.all("#models input")[0].click()
    page.until(lambda: not page.all("#bars .panel")[0].is_displayed())
    assert page.all("#bars .panel")[1].is_displayed() and page.one("#taker").text == "words"


@pytest.mark.parametrize("length", [60, 5_000])
def test_a_long_text(length, page):
    text = ("a cab bad dab " * 400)[:length]
    page.put("#text", text)
    page.until(lambda: len(page.tokens(1)) == length)
    page.one("#text").send_keys("a")
    page.until(lambda: len(page.tokens(1)) == length + 1)
    assert f"{length + 1:,} tokens" in page.texts("#surprise .row-title .quiet")[0]
    assert page.fits()


def test_one_more_key_is_answered_with_one_more_token(page):
    """The answer of the model of characters does not grow with the text: the page keeps what it knows."""
    script = "return performance.getEntriesByType('resource').filter(e => e.name.endsWith('/v1/score'))"
    page.put("#text", "a cab bad dab " * 350)
    page.until(lambda: len(page.tokens(1)) == 4_900)
    pasted = page.driver.execute_script(script + ".at(-2).decodedBodySize")
    page.one("#text").send_keys("a")
    page.until(lambda: page.one("body").get_attribute("data-shown") == "4901")
    assert page.driver.execute_script(script + ".at(-2).decodedBodySize") < 2_000 < 100_000 < pasted


def test_what_is_typed_in_pieces_is_shown_as_what_is_pasted(page, key):
    def shown():
        page.until(lambda: page.one("body").get_attribute("data-shown") == str(len(text)))
        page.driver.execute_script("arguments[0].focus()", page.tokens(1)[-1])
        colours = [token.value_of_css_property("background-color") for token in page.tokens(1)]
        return (
            colours,
            [token.text for token in page.tokens(1)],
            page.texts("#surprise .row-title"),
            page.texts("#detail"),
        )

    for text in ("a cab", "a cab bad\ndab", "a cab bad\ndabba", "a", "a dab", "cad a dab"):
        page.put("#text", text)
        found = shown()
    page.driver.refresh()
    page.until(lambda: page.all("#bars .panel .bar"))
    page.put("#text", text)
    assert shown() == found


def test_the_same_seed_gives_the_text_of_the_command(page, key, runs):
    page.one("#tab-generate").click()
    page.one("#prompt").send_keys("a ")
    page.put("#tokens", "70")
    page.put("#seed", "3")
    page.put("#temperature", "0.5")
    page.one("#start").send_keys(key.ENTER)
    page.until(lambda: page.one("#generated-state").text == "70 tokens")
    expected = generate(runs["chars"], "a ", 70, temperature=0.5, seed=3)
    assert page.one("#generated").get_attribute("textContent") == expected
    assert "--tokens 70 --temperature 0.5 --seed 3" in page.one("#command").text
    page.put("#beam_size", "3")
    page.one("#start").click()
    page.until(lambda: "hypotheses" in page.one("#generated-state").text)


def test_a_continuation_is_stopped(page):
    page.one("#tab-generate").click()
    page.put("#tokens", "2000")
    page.one("#start").click()
    page.driver.execute_script("document.getElementById('stop').click()")
    page.until(lambda: "stopped" in page.one("#generated-state").text)
    assert len(page.one("#generated").get_attribute("textContent")) < 2000
    page.put("#temperature", "0.1")
    page.put("#top_p", "7")
    page.driver.execute_script("document.getElementById('top_p').removeAttribute('max')")
    page.one("#start").click()
    page.until(lambda: page.one("#error").is_displayed())
    assert "top_p must be above 0 and at most 1" in page.one("#error").text


def test_how_far_back_by_keyboard(page, key):
    page.keys("a cab bad dab")
    page.until(lambda: len(page.tokens(1)) == 13)
    page.keys(key.ESCAPE)
    page.keys(key.TAB)
    page.keys(key.END)
    page.keys(key.ENTER)
    page.until(lambda: page.one("#b-result").is_displayed())
    assert page.one("#b-shown").text == "13 of 13" and page.one("#b-profile svg").is_displayed()
    assert "% of its gradient reaches" in page.one("#b-answer").text
    page.one("#b-position").send_keys(key.ARROW_LEFT)
    assert page.one("#b-shown").text == "12 of 13"
    page.all("#b-tokens .token")[4].click()
    assert page.one("#b-shown").text == "5 of 13"
    colours = [token.value_of_css_property("background-color") for token in page.all("#b-tokens .token")]
    assert colours[3] != colours[12] and len(set(colours[5:])) == 1  # nothing behind the token


def test_units_that_follow_what_is_marked(page, key):
    page.one("#tab-inside").click()
    page.one("#i-text").send_keys("a cab bad dab")
    page.one("#look").click()
    page.until(lambda: len(page.all("#i-strips svg")) == 3)
    tokens = page.all("#i-tokens .token")
    tokens[2].click()
    tokens[2].send_keys(key.ARROW_RIGHT)
    page.keys(key.ENTER)
    assert [token.get_attribute("aria-pressed") for token in tokens[1:5]] == [None, "true", "true", None]
    page.one("#i-search").click()
    page.until(lambda: len(page.all("#i-strips svg")) == 8)
    assert all("correlation" in text for text in page.texts("#i-strips h3"))


def test_the_keys_of_a_text_that_was_looked_at_before_are_not_heard(page, key):
    page.one("#tab-inside").click()
    page.one("#i-text").send_keys("a cab bad dab")
    page.one("#look").click()
    page.until(lambda: len(page.all("#i-strips svg")) == 3)
    page.all("#i-tokens .token")[9].click()
    page.one("#i-text").send_keys(" cad")
    page.one("#look").click()
    page.until(lambda: len(page.all("#i-tokens .token")) == 17)
    page.driver.execute_script("arguments[0].focus()", page.all("#i-tokens .token")[0])
    page.keys(key.ARROW_RIGHT)
    page.keys(key.ENTER)
    marked = [token.get_attribute("aria-pressed") == "true" for token in page.all("#i-tokens .token")]
    assert marked == [number == 1 for number in range(17)]


@pytest.mark.parametrize("width", [400, 640, 1280])  # 640: a laptop at 200 %
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(width, scheme, page):
    with page.window(width, scheme):
        page.keys("a cab bad dab")
        page.until(lambda: len(page.tokens(1)) == 13)
        for tab in page.all("#tabs button"):
            tab.click()
            assert page.fits()
        ground = page.one("body").value_of_css_property("background-color")
        assert (ground == "rgba(255, 255, 255, 1)") == (scheme == "light")


def test_an_address_without_the_token_says_so(page, address):
    page.driver.get(address)
    page.until(lambda: page.one("#error").is_displayed())
    assert "lacks the token" in page.one("#error").text
    page.driver.get_log("browser")  # the refusal is in it
