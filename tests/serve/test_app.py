"""What the interface answers, against the queries that it is over."""

import numpy as np
import pytest

from lm_jax.queries import beam_search, generate, gradient_map, next_tokens, score_tokens, states, units_like


def test_models_are_listed_by_name(client):
    found = client.ask("/v1/models").json()
    assert [record["id"] for record in found["data"]] == ["chars", "words"]
    assert found["data"][1] | {"type": "language model", "level": "word", "layers": 1} == found["data"][1]


def test_next_is_what_the_query_says(client, runs):
    answer = client.ask("/v1/next", {"model": "words", "text": "a cab", "k": 3}).json()
    expected = next_tokens(runs["words"], "a cab", 3)
    assert [record["token"] for record in answer["next"]] == [token for token, _ in expected]
    np.testing.assert_allclose([record["probability"] for record in answer["next"]], [p for _, p in expected], 1e-5)
    added = [" " + token if token.isalpha() else "\n" for token, _ in expected]
    assert [record["text"] for record in answer["next"]] == added
    probs = np.array([p for _, p in next_tokens(runs["words"], "a cab", 99)], np.float64)
    assert answer["entropy"] == pytest.approx(-(probs * np.log(probs)).sum(), rel=1e-4)


def test_score_is_what_the_query_says(client, runs):
    text = "a cab bad\ndab"
    answer = client.ask("/v1/score", {"text": text}).json()
    expected = [token.log_prob for token in score_tokens(runs["chars"], text)]
    assert answer["model"] == "chars" and "".join(answer["texts"]) == text
    np.testing.assert_allclose(answer["log_probs"], expected, atol=2e-5)
    assert answer["log_prob"] == pytest.approx(sum(expected), abs=1e-4)
    assert len(answer["ranks"]) == len(answer["entropies"]) == len(text)


@pytest.mark.parametrize("first", [0, 1, 12, 13, 500])
def test_a_score_tells_of_the_tokens_from_the_first_that_is_wanted(first, client):
    text = "a cab bad\ndab"
    whole, rest = (client.ask("/v1/score", {"text": text, **more}).json() for more in ({}, {"first": first}))
    for name in ("tokens", "texts", "log_probs", "ranks", "entropies"):
        assert len(whole.pop(name)[first:]) == max(0, 13 - first) == len(rest[name])
        assert client.ask("/v1/score", {"text": text}).json()[name][first:] == rest.pop(name)
    assert rest == whole | {"first": min(first, 13)}


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.55, "top_k": 3}, {"top_p": 0.8}, {"greedy": True}])
@pytest.mark.parametrize("name", ["chars", "words"])
def test_the_same_seed_gives_the_text_of_the_command(name, settings, client, runs):
    body = {"model": name, "prompt": "a cab", "tokens": 70, "seed": 4, **settings}
    records = client.events("/v1/generate", body)
    assert records[-1] == {"finished": "length", "seed": 4} and len(records) == 4  # 32 + 32 + 6 tokens
    expected = generate(runs[name], "a cab", 70, seed=4, **settings)
    assert "a cab" + "".join(record["text"] for record in records[:-1]) == expected
    whole = client.ask("/v1/generate", {**body, "stream": False, "num_samples": 2}).json()
    samples = generate(runs[name], "a cab", 70, seed=4, num_samples=2, **settings)
    assert ["a cab" + text for text in whole["samples"]] == samples


def test_beams_are_those_of_the_search(client, runs):
    (record,) = client.events("/v1/generate", {"prompt": "a ", "tokens": 12, "beam_size": 3})
    expected = beam_search(runs["chars"], "a ", 12, 3)
    assert [row["text"] for row in record["hypotheses"]] == [row.text for row in expected]


def test_gradients_are_the_map_of_that_text(client, runs):
    text = "a cab bad dab"
    answer = client.ask("/v1/gradients", {"text": text}).json()
    expected = gradient_map(runs["chars"], text)
    assert (answer["first"], answer["predicted"]) == (0, list(expected.predicted))
    np.testing.assert_allclose(answer["nats"], expected.nats, atol=1e-4)
    for i, row in enumerate(answer["log10_shares"]):
        log10 = np.maximum(expected.log_shares[i, : i + 1] / np.log(10), -12)
        np.testing.assert_allclose(row, log10, atol=0.011)
    lags = [np.median(np.diagonal(expected.log_shares, -lag)) / np.log(10) for lag in range(len(text))]
    np.testing.assert_allclose(answer["profile"], np.maximum(lags, -12), atol=0.002)


@pytest.mark.parametrize("position,first", [(0, 0), (599, 200), (450, 71), (None, 200)])
def test_of_a_long_text_the_gradients_around_a_token_are_measured(position, first, client):
    body = {"text": "a cab bad " * 60} | ({} if position is None else {"position": position})
    answer = client.ask("/v1/gradients", body).json()
    assert answer["first"] == first and len(answer["predicted"]) == 400


def test_units_are_those_of_the_states(client, runs):
    text = "a cab bad dab"
    expected = states(runs["chars"], text)
    answer = client.ask("/v1/states", {"text": text, "units": [["h", 3], ["gate.forget", 0]]}).json()
    assert answer["arrays"] == {name: values.shape[1] for name, values in expected.values.items()}
    for unit, (name, number) in zip(answer["units"], [("h", 3), ("gate.forget", 0)], strict=True):
        np.testing.assert_allclose(unit["values"], expected.values[name][:, number], atol=6e-5)
    pattern = [int(token == "a") for token in expected.tokens]
    answer = client.ask("/v1/states", {"text": text, "pattern": pattern, "k": 4}).json()
    found = [(unit["name"], unit["unit"], unit["correlation"]) for unit in answer["units"]]
    assert found == [(name, unit, round(r, 4)) for name, unit, r in units_like(expected, pattern, 4)]


def test_the_page_needs_no_other_place(client):
    page = client.ask("/", authorization="")
    assert page.status_code == 200 and "default-src 'none'" in page.headers["content-security-policy"]
    from lm_jax.serve.app import FILES, PAGE

    sizes = [path.stat().st_size for path in PAGE.iterdir()]
    assert {path.name for path in PAGE.iterdir()} == {"index.html", *FILES} and sum(sizes) < 200_000
    for name in FILES:
        text = client.ask(f"/page/{name}").text
        assert text and "http://" not in text.replace("http://www.w3.org/2000/svg", "") and "https://" not in text
        assert name in page.text
    assert "<script>" not in page.text and " style=" not in page.text and "onclick" not in page.text  # the policy
