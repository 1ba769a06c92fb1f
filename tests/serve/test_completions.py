"""`/v1/completions` as OpenAI's API has it: against the queries, and by the `openai` package where it is installed."""

import json
import socket
import threading

import numpy as np
import pytest

from lm_jax.queries import generate, score_tokens
from tests.serve.client import TOKEN


def complete(client, **body):
    response = client.ask("/v1/completions", body)
    assert response.status_code == 200, response.text
    return response.json()


def test_the_text_is_that_of_the_command(client, runs):
    body = {"model": "words", "prompt": "a cab", "max_tokens": 40, "seed": 3, "temperature": 0.7, "top_p": 0.9, "n": 2}
    answer = complete(client, **body)
    expected = generate(runs["words"], "a cab", 40, temperature=0.7, top_p=0.9, seed=3, num_samples=2)
    assert ["a cab" + choice["text"] for choice in answer["choices"]] == expected
    assert [choice["finish_reason"] for choice in answer["choices"]] == ["length", "length"]
    assert answer["usage"] == {"prompt_tokens": 2, "completion_tokens": 80, "total_tokens": 82}
    assert (answer["object"], answer["model"], answer["seed"]) == ("text_completion", "words", 3)


def test_temperature_0_is_greedy_and_without_a_seed_one_is_drawn(client, runs):
    answer = complete(client, prompt="a", temperature=0)
    assert "a" + answer["choices"][0]["text"] == generate(runs["chars"], "a", 16, greedy=True)
    assert complete(client, prompt="a", max_tokens=64)["seed"] != complete(client, prompt="a", max_tokens=64)["seed"]


@pytest.mark.parametrize("name,prompt", [("chars", "a cab\nbad"), ("words", "a cab\nbad dab")])
def test_echo_with_logprobs_scores_the_prompt(name, prompt, client, runs):
    (choice,) = complete(client, model=name, prompt=prompt, max_tokens=0, echo=True, logprobs=2)["choices"]
    expected = score_tokens(runs[name], prompt)
    found = choice["logprobs"]
    np.testing.assert_allclose(found["token_logprobs"], [token.log_prob for token in expected], atol=2e-5)
    assert choice["text"] == prompt and all(len(best) == 2 for best in found["top_logprobs"])
    for text, offset in zip(found["tokens"], found["text_offset"], strict=True):
        assert prompt[offset : offset + len(text)] == text


def test_logprobs_of_what_was_added_are_of_its_tokens(client, runs):
    body = {"prompt": "a cab", "max_tokens": 40, "seed": 1, "temperature": 0.3, "logprobs": 1}
    (choice,) = complete(client, **body)["choices"]
    expected = score_tokens(runs["chars"], "a cab" + choice["text"])[5:]
    np.testing.assert_allclose(choice["logprobs"]["token_logprobs"], [t.log_prob for t in expected], atol=2e-5)
    assert "".join(choice["logprobs"]["tokens"]) == choice["text"]


@pytest.mark.parametrize("stop", ["b", ["d ", "b a"], "zzz", ["a", "ab"]])
def test_the_text_ends_before_the_first_stop(stop, client):
    body = {"prompt": "a", "max_tokens": 100, "seed": 2}
    whole = complete(client, **body)["choices"][0]["text"]
    (choice,) = complete(client, **body, stop=stop, logprobs=0)["choices"]
    places = [whole.find(one) for one in ([stop] if isinstance(stop, str) else stop) if one in whole]
    assert choice["text"] == whole[: min(places, default=None)]
    assert choice["finish_reason"] == ("stop" if places else "length")
    assert "".join(choice["logprobs"]["tokens"])[: len(choice["text"])] == choice["text"]


@pytest.mark.parametrize("more", [{}, {"stop": "dab"}, {"echo": True, "logprobs": 3}, {"n": 3}])
def test_a_stream_is_the_whole_in_pieces(more, client):
    body = {"prompt": ["a ", "cab"], "max_tokens": 70, "seed": 5, **more}
    records = client.events("/v1/completions", {**body, "stream": True, "stream_options": {"include_usage": True}})
    expected = complete(client, **body)
    assert records[-1]["usage"] == expected["usage"] and records[-1]["choices"] == []
    for choice in expected["choices"]:
        pieces = [piece for record in records for piece in record["choices"] if piece["index"] == choice["index"]]
        assert "".join(piece["text"] for piece in pieces) == choice["text"]
        assert [piece["finish_reason"] for piece in pieces][-1] == choice["finish_reason"]
        assert not [piece for piece in pieces[:-1] if piece["finish_reason"]]
        if choice["logprobs"]:
            parts = [piece["logprobs"]["token_logprobs"] for piece in pieces]
            assert [value for part in parts for value in part] == choice["logprobs"]["token_logprobs"]


def test_a_prompt_may_be_ids(client, runs):
    ids = runs["chars"].vocabulary.encode("a cab").tolist()
    texts = [complete(client, prompt=prompt, seed=1)["choices"][0]["text"] for prompt in ("a cab", ids, [ids])]
    assert texts[0] == texts[1] == texts[2]


@pytest.mark.slow
def test_the_openai_package_is_answered(models, runs):
    openai = pytest.importorskip("openai", reason="the package openai is not installed: it was NOT tried")
    uvicorn = pytest.importorskip("uvicorn")
    from lm_jax.serve.app import app

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app(models, TOKEN), log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        client = openai.OpenAI(base_url=address, api_key=TOKEN, max_retries=0)
        stranger = openai.OpenAI(base_url=address, api_key="x", max_retries=0)
        assert [model.id for model in client.models.list()] == ["chars", "words"]
        asked = {"model": "chars", "prompt": "a ", "max_tokens": 50, "seed": 7, "temperature": 0.8}
        expected = generate(runs["chars"], "a ", 50, temperature=0.8, seed=7)
        answer = client.completions.create(**asked, logprobs=2, echo=True)
        assert answer.choices[0].text == expected and answer.usage.completion_tokens == 50
        assert len(answer.choices[0].logprobs.token_logprobs) == 52
        streamed = client.completions.create(**asked, stream=True)
        assert "a " + "".join(piece.choices[0].text for piece in streamed) == expected
        with pytest.raises(openai.NotFoundError, match="one of chars, words"):
            client.completions.create(model="gpt", prompt="a")
        with pytest.raises(openai.AuthenticationError, match="Bearer TOKEN"):
            stranger.models.list()
        with pytest.raises(openai.BadRequestError, match="vocabulary"):
            client.completions.create(model="chars", prompt=json.dumps({"z": 1}))
        client.close()
        stranger.close()
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
