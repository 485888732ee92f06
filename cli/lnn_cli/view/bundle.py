"""The page as one file: its modules as one script, its style, and data in place of a server."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

PAGE = Path(__file__).parent / "page"

_IMPORT = re.compile(r'^import (?:\{([^}]*)\} from )?"\./([\w-]+\.js)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:const|let|function|class)) (\w+)", re.MULTILINE)
_LENIENT = """// What a saved file lacks fails with a text; a promise asks whether there is a `then`, and there is none.
const lenient = (known, Trouble) => new Proxy(known, {
  get: (_, name) => (name === "then" ? undefined : known[name] ?? (async () => {
    throw new Trouble("Only lnn view can do this, not a saved file.");
  })),
});
"""
_STYLE = '<link rel="stylesheet" href="view.css">'
_SCRIPT = '<script src="main.js" type="module"></script>'
_CHARSET = '<meta charset="utf-8">'


def one_file(data: str) -> str:
    """The whole page, in HTML; ``data`` is JSON for ``embedded.js``. It asks nothing of any server, and may not."""
    css, script = (PAGE / "view.css").read_text(encoding="utf-8"), bundled("main.js")
    policy = (
        f"default-src 'none'; script-src {hash_of(script)}; style-src {hash_of(css)}; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    html = (PAGE / "index.html").read_text(encoding="utf-8")
    inert = data.replace("<", "\\u003c")  # nothing in it ends the element that it is in
    for part, replacement in (
        (_CHARSET, f'{_CHARSET}\n    <meta http-equiv="Content-Security-Policy" content="{policy}">'),
        (_STYLE, f"<style>{css}</style>"),
        (_SCRIPT, ""),
        (
            "</body>",
            f'<script type="application/json" id="data">{inert}</script><script type="module">{script}</script></body>',
        ),
    ):
        if html.count(part) != 1:
            raise AssertionError(f"the page has {part} {html.count(part)} times")
        html = html.replace(part, replacement)
    return html


def hash_of(text: str) -> str:
    """What a Content-Security-Policy allows this very script or style by (W3C CSP Level 3, "hash-source")."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def bundled(entry: str) -> str:
    """The page's modules as one script, in which ``embedded.js`` stands for ``api.js``.

    Each module becomes a function of its own, so that names do not meet. What the embedded answers lack (the server's
    what-if, for example) fails with a text.
    """
    made: dict[str, str] = {}
    _add(entry, made)
    script = "\n".join([_LENIENT, *made.values()])
    if "</script" in script or "<!--" in script:
        raise AssertionError("the script would end the element that it is in")
    return script


def _add(name: str, made: dict[str, str]) -> None:
    text = (PAGE / ("embedded.js" if name == "api.js" else name)).read_text(encoding="utf-8")
    for _, other in _IMPORT.findall(text):
        if other not in made:
            _add(other, made)
    names = ", ".join(exported for _, exported in _EXPORT.findall(text))
    body = _EXPORT.sub(r"\1 \2", _IMPORT.sub(_destructured, text))
    if left := re.search(r"^(import|export)\b.*", body, re.MULTILINE):
        raise AssertionError(f"{name}: {left.group()} is not bundled")
    answer = f"{{ {names} }}"
    if name == "api.js":
        answer = f"lenient({answer}, Trouble)"
    made[name] = f"const {_variable(name)} = await (async () => {{\n{body}\nreturn {answer};\n}})();"


def _destructured(found: re.Match[str]) -> str:
    return f"const {{{found[1]}}} = {_variable(found[2])};" if found[1] else ""


def _variable(name: str) -> str:
    return f"$_{re.sub(r'[^0-9A-Za-z]', '_', name)}"
