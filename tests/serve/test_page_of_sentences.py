"""What the page draws of models that read a sentence, in a real browser: attention, tags, and the words that decide."""

import re

import numpy as np
import pytest

import lm_jax
from lm_jax.queries import any_gradient_map, attention_map
from tests.queries.untrained import untrained
from tests.serve.browser import Page, serving
from tests.tasks.labelled import classify_config
from tests.tasks.parallel import translate_config
from tests.tasks.tagged import tag_config


pytestmark = pytest.mark.slow
SENTENCES = {"translator": "eins zwei drei.", "tagger": "a XABC bad", "classifier": "good cab bad dab"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Loaded runs by the type of their model, as they begin."""
    folder = tmp_path_factory.mktemp("sentences")
    made = {"translator": translate_config, "tagger": tag_config, "classifier": classify_config}
    return {name: lm_jax.load(untrained(make(folder / f"{name}.tsv"), folder / name)) for name, make in made.items()}


@pytest.fixture(scope="module")
def address(runs):
    pytest.importorskip("starlette", reason='the extra "serve" is not installed: nothing of the server was tested')
    from lm_jax.serve.models import serve_models

    with serving(serve_models(runs)) as address:
        yield address


@pytest.fixture
def measured(driver, address):
    """Makes the page of a model after its sentence was measured."""
    page = Page(driver, address)

    def measure(name):
        page.put("#b-text", SENTENCES[name])
        page.one(f"#b-model option[value={name}]").click()
        page.one("#measure").click()
        page.until(lambda: page.one("#b-result").is_displayed() and page.one("#measure").is_enabled())
        return page

    yield measure
    assert not [entry["message"] for entry in driver.get_log("browser")]


def drawn(page):
    """Names of rows and columns, and how bright each cell of the map is [rows, columns]."""
    colours = [
        [int(number) for number in re.findall(r"\d+", cell.get_attribute("fill"))]
        for cell in page.all("#b-cells .cell")
    ]
    rows, columns = page.texts("#b-cells .row"), page.texts("#b-cells .column")
    return rows, columns, (np.array(colours) @ (0.2126, 0.7152, 0.0722)).reshape(len(rows), len(columns))


def strengths(page):
    """How strong the colour of each word is, positive where it is blue and negative where it is orange."""
    found = []
    for word in page.all("#b-tokens .token"):
        red, _, blue, *alpha = map(float, re.findall(r"[\d.]+", word.value_of_css_property("background-color")))
        found.append((alpha[0] if alpha else 1.0) * np.sign(blue - red))
    return np.array(found)


def test_the_attention_of_a_translator(measured, runs, key):
    page, run, text = measured("translator"), runs["translator"], SENTENCES["translator"]
    translation = run.translate(text).text
    expected = attention_map(run, text, translation)
    weights = np.array(expected.weights)
    rows, columns, bright = drawn(page)
    assert (rows, columns) == (expected.target, expected.source) and page.one("#b-state").text.endswith(translation)
    order = np.argsort(weights, axis=None)
    assert np.all(np.diff(bright.reshape(-1)[order]) >= -1.0) and bright.max() > 200  # viridis rises with the weight
    for k in range(2):
        assert page.one("#b-shown").text == f"{k + 1} of {len(rows)}"
        assert page.texts("#b-cells .row.chosen") == [rows[k]] and f"“{rows[k]}”" in page.one("#b-answer").text
        np.testing.assert_allclose(strengths(page), 0.85 * weights[k] / weights[k].max(), atol=0.01)
        page.one("#b-position").send_keys(key.ARROW_RIGHT)
    page.all("#b-cells .row")[0].click()
    assert page.one("#b-shown").text == f"1 of {len(rows)}"


def test_the_tags_of_a_tagger(measured, runs):
    page, found = measured("tagger"), any_gradient_map(runs["tagger"], SENTENCES["tagger"])
    assert page.texts("#b-tokens .token small") == list(found.answers)
    words = [text.removesuffix(tag) for text, tag in zip(page.texts("#b-tokens .token"), found.answers, strict=True)]
    assert words == list(found.source)
    rows, columns, bright = drawn(page)
    assert columns == list(found.source)
    assert rows == [f"{word}: {tag}" for word, tag in zip(found.source, found.answers, strict=True)]
    assert np.argmax(bright) == np.argmax(found.norms)
    page.all("#b-tokens .token small")[1].click()  # a tag is a part of its word
    assert page.one("#b-shown").text == "2 of 3" and f"“XABC” is {found.answers[1]} (" in page.one("#b-answer").text
    np.testing.assert_allclose(strengths(page), 0.85 * found.norms[1] / found.norms[1].max(), atol=0.01)


def test_the_words_that_decide(measured, runs):
    page, found = measured("classifier"), runs["classifier"].explain(SENTENCES["classifier"])
    occlusion = np.array(found.occlusion)
    assert page.one("#b-answer").text.startswith(f"{found.label}, {100 * found.probability:.0f} %.")
    assert page.texts("#b-tokens .token") == list(found.words)
    np.testing.assert_allclose(strengths(page), 0.85 * occlusion / np.abs(occlusion).max(), atol=0.01)
    rows, columns, bright = drawn(page)
    assert (rows, columns) == ([found.label], list(found.words)) and np.argmax(bright) == np.argmax(found.reach)
    assert not page.one("#b-slide").is_displayed()  # there is one answer


@pytest.mark.parametrize("name", SENTENCES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_in_windows_of_any_width(name, scheme, measured):
    page = measured(name)
    for width in (400, 700, 1400):
        with page.window(width, scheme):
            assert page.fits()
            boxes = [word.rect for word in page.all("#b-tokens .token, #b-cells .column")]
            assert all(box["width"] > 5 and box["height"] > 5 for box in boxes)
            letters = page.driver.execute_script(
                "return [...document.querySelectorAll('#b-cells .row')].map(t => t.getBoundingClientRect().height)"
            )
            assert min(letters) > 12  # not shrunk with the window
