"""Two toy models that are served: one of characters and one of words."""

import pytest

import lm_jax
from tests.queries.untrained import untrained
from tests.runs.toy import toy_config, write_corpus


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Loaded runs by name, as they begin."""
    folder = tmp_path_factory.mktemp("served")
    corpus = write_corpus(folder / "text")
    made = {
        "chars": toy_config(corpus),
        "words": toy_config(corpus, level="word", batch_size=2, bptt=4, cell="gru"),
    }
    return {name: lm_jax.load(untrained(config, folder / name)) for name, config in made.items()}


@pytest.fixture(scope="session")
def models(runs):
    pytest.importorskip("starlette", reason='the extra "serve" is not installed: nothing of the server was tested')
    from lm_jax.serve.models import serve_models

    return serve_models(runs)


@pytest.fixture(scope="session")
def client(models):
    pytest.importorskip("httpx", reason="httpx is not installed: the server was not asked")
    from lm_jax.serve.app import app
    from lm_jax.serve.limits import Limits
    from tests.serve.client import PATIENT, TOKEN, Client

    return Client(app(models, TOKEN, Limits(**PATIENT)))


@pytest.fixture(scope="session")
def driver():
    from tests.serve.browser import started

    driver = started()
    yield driver
    driver.quit()


@pytest.fixture
def key():
    from selenium.webdriver.common.keys import Keys

    return Keys
