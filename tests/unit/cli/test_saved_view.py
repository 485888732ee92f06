"""The page of ``lnn view`` as one file."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from lnn_cli.view import bundle
from lnn_cli.view.bundle import PAGE, bundled, hash_of, one_file
from lnn_client.json_types import encoded, rounded

HOLE = '</script><script>alert("1")</script>'


def test_the_page_is_complete_in_itself_and_its_policy_allows_its_own_script_and_style_alone() -> None:
    html = one_file(encoded({"name": HOLE}))
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)
    assert html.index("Content-Security-Policy") < html.index("<style")
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", html, re.DOTALL)
    assert [kind for kind, _ in scripts] == [' type="application/json" id="data"', ' type="module"']
    assert f"script-src {hash_of(scripts[1][1])};" in policy
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert f"style-src {hash_of(style)};" in policy
    assert policy.startswith("default-src 'none';")
    assert not re.findall(r'(?:src|href)="(?!data:)', html)


def test_every_module_is_in_it_once_and_imports_nothing() -> None:
    script = bundled("main.js")
    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)
    modules = {file.name for file in PAGE.glob("*.js")} - {"embedded.js"}
    assert sorted(re.findall(r"const \$_(\w+)_js = await", script)) == sorted(name[:-3] for name in modules)
    assert "fetch(`api/" not in script


def test_what_cannot_be_bundled_is_an_error(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "main.js").write_text('import * as all from "./text.js";\n')
    monkeypatch.setattr(bundle, "PAGE", tmp_path)
    with pytest.raises(AssertionError, match=r"main\.js: import .* is not bundled"):
        bundled("main.js")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (123_456.789, 123_460.0),
        (-1.234567e-9, -1.2346e-9),
        (0.0, 0.0),
        ([1.23456789, "text", 7, None], [1.2346, "text", 7, None]),
        ({"a": 1e300 / 3}, {"a": 3.3333e299}),
    ],
)
def test_numbers_are_rounded_to_five_digits(value: Any, expected: Any) -> None:
    assert rounded(value) == (pytest.approx(expected, rel=1e-12) if isinstance(value, float) else expected)


def test_arrays_are_rounded_and_what_is_not_finite_is_null() -> None:
    found = rounded({"w": np.array([[np.pi, np.nan], [np.inf, 0.0]], np.float32), "n": np.arange(3)})
    assert encoded(found) == '{"w":[[3.1416,null],[null,0.0]],"n":[0,1,2]}'
