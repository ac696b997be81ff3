"""What tests of the commands share."""

import shutil

import pytest


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip(f"needs one of {', '.join(names)} on the PATH")
    with playwright.sync_playwright() as engines:
        # The sandbox of Chromium refuses to start for root, as in a container.
        browser = engines.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()
