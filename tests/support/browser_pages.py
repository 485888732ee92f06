"""Pages in a real browser, watched for what they may not do."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE_MS = 20_000


@contextmanager
def watched_pages(browser: Any) -> Iterator[Callable[..., Any]]:
    """A function that opens an address of a server: ``open(url, path, ready, **how)`` waits for the selector ``ready``.

    In the end nothing may have been asked of another host, refused by the page's own policy, or thrown.
    """
    contexts, requests, complaints, own = [], [], [], ["data:"]

    def opener(url: str, path: str, ready: str, **how: Any) -> Any:
        context = browser.new_context(**how)
        contexts.append(context)
        own.extend((url, f"blob:{url}"))
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda message: complaints.append(message.text) if "Content Security Policy" in message.text else None,
        )
        page.goto(url + path)
        page.wait_for_selector(ready)
        return page

    yield opener
    for context in contexts:
        context.close()
    assert [url for url in requests if not url.startswith(tuple(own))] == []
    assert complaints == []


def patient_expect() -> Any:
    """Playwright's assertions, which wait; `wait_for_function` evaluates a string, which a page's policy forbids."""
    assertions = importlib.import_module("playwright.sync_api").expect
    assertions.set_options(timeout=PATIENCE_MS)
    return assertions


def violations(page: Any, axe: str) -> list[str]:
    """What axe-core, given its source, finds that keeps people out."""
    page.evaluate(axe)  # through the console, which the page's own policy does not bind
    found = page.evaluate("axe.run().then((results) => results.violations)")
    return [f"{violation['id']}: {violation['nodes'][0]['html']}" for violation in found]
