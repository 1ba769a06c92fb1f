"""A real browser, the server that it asks, and what a person does and sees: chromium and its driver, by selenium."""

import contextlib
import shutil
import socket
import threading

import pytest

from tests.serve.client import PATIENT, TOKEN


PATIENCE = 120  # seconds: a program may be compiled on a busy machine


def missing():
    """What the tests of the page lack."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "the package selenium"
    if not shutil.which("chromedriver"):
        return "chromedriver"
    return None if shutil.which("chromium") or shutil.which("google-chrome") else "chromium"


@contextlib.contextmanager
def serving(models):
    """The address of a server of these models, while it answers."""
    uvicorn = pytest.importorskip("uvicorn")
    from lm_jax.serve.app import app
    from lm_jax.serve.limits import Limits

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app(models, TOKEN, Limits(**PATIENT)), log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def started():
    """A browser without a window; skips loudly where there is none."""
    if lacking := missing():
        pytest.skip(f"!! THE PAGE WAS NOT TESTED IN A BROWSER: {lacking.upper()} IS MISSING !!")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome")
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    driver.set_window_size(1280, 1000)
    return driver


class Page:
    """What a person does and sees."""

    def __init__(self, driver, address):
        self.driver = driver
        driver.get(f"{address}?token={TOKEN}")
        self.until(lambda: self.all("#b-model option"))

    def one(self, selector):
        return self.driver.find_element("css selector", selector)

    def all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def texts(self, selector):
        return [found.get_attribute("textContent") for found in self.all(selector)]

    def until(self, condition):
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.support.ui import WebDriverWait

        waiting = WebDriverWait(self.driver, PATIENCE, 0.05, ignored_exceptions=[StaleElementReferenceException])
        return waiting.until(lambda driver: condition())

    def put(self, selector, text):
        """Sets the text of a box at once, as pasting does."""
        script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))"
        self.driver.execute_script(script, self.one(selector), text)

    def keys(self, *keys):
        """Types where the focus is."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def tokens(self, number):
        """The tokens in the row of a model."""
        return self.all(f"#surprise > div:nth-child({number}) .token")

    @contextlib.contextmanager
    def window(self, width, scheme):
        """A window of a width in pixels, light or dark."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        try:
            yield
        finally:
            self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
            self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    def fits(self):
        """Whether nothing is wider than the window."""
        return self.driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
