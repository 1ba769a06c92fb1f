"""What the explanation of a label says of the two measures of its words."""

import pytest

from lm_jax.queries.classify import Explanation
from lm_jax.report.word_weights import coloured_words, draw_words


NOTHING = "no word adds anything: each is as good as an unknown one"
SAID = {
    "agreeing": ([0.1, 0.2, 0.3], [2.0, 3.0, 4.0], "gradient and occlusion correlate by 1.00"),
    "against each other": ([0.1, 0.2, 0.3], [4.0, 3.0, 2.0], "gradient and occlusion correlate by -1.00"),
    "unknown words": ([0.0, -0.0, 0.0], [0.0, 1e-7, -1e-7], NOTHING),
    "one unknown word": ([0.0], [0.0], NOTHING),
    "all the same": (
        [0.5, 0.5, 0.5],
        [1.0, 2.0, 3.0],
        "gradient and occlusion have no correlation: one is the same for every word",
    ),
    "two words": ([0.1, 0.2], [3.0, 2.0], "gradient beside occlusion"),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", SAID)
def test_how_far_the_measures_agree_is_said_in_words(name, tmp_path, monkeypatch):
    gradient, occlusion, words = SAID[name]
    explanation = Explanation("good", 0.75, list("abc")[: len(gradient)], gradient, occlusion, [1.0] * len(gradient))
    assert coloured_words(explanation).plain.splitlines()[-1] == f"  {words}"
    titles = []
    monkeypatch.setattr(
        "lm_jax.report.word_weights.save_figure",
        lambda figure, path: titles.append(figure.axes[0].get_title(loc="left")),
    )
    draw_words(explanation, tmp_path / "words.png")
    assert titles == [f"good (75.0%): {words}"]
