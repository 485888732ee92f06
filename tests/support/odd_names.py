"""Names of classes that people have, though few programs expect them, and texts that are no names."""

from __future__ import annotations

REAL_NAMES = {
    "emoji with joiners": "\U0001f468\u200d\U0001f469\u200d\U0001f467 family",
    "emoji of a flag": "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "emoji with a variation": "\u2764\ufe0f",
    "Persian": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "Malayalam": "\u0d05\u0d35\u0d28\u0d4d\u200d",
    "Devanagari": "\u0915\u094d\u200d\u0937",
    "Hebrew": "\u05d7\u05ea\u05d5\u05dc",
    "Thai": "\u0e41\u0e21\u0e27",
    "no-break space": "guinea\u00a0pig",
    "ideographic space": "\u732b\u3000\u72ac",
    "soft hyphen": "Donau\u00addampf\u00adschiff",
    "markup": "[other]",
    "a closing tag": "[/x]",
    "a style": "[bold red]x[/]",
    "an emoji code": ":smile:",
    "mathematics": "$x_1^2$",
    "a formula": "=1+1",
    "HTML": "<b>&amp;</b>",
    "Markdown": "*a* | `b` ![c](d)",
    "backslash": "a\\b",
    "quotation marks": "a'b\"c",
}
"""Each is accepted, and shown as it is."""

NO_NAMES = {
    "a color": "\x1b[31mcat",
    "a title of the terminal": "\x1b]0;pwned\x07cat",
    "an 8-bit control": "\x9b31mcat",
    "a line end": "cat\nINFO all is well",
    "a carriage return": "cat\rdog",
    "a backspace": "cat\b\b\bdog",
    "a NUL": "cat\0",
    "a tabulator": "cat\tdog",
    "a delete": "cat\x7f",
    "a next line": "cat\x85dog",
    "an override": "\u202etac",
    "an isolate": "\u2067tac\u2069",
    "a mark of direction": "cat\u200f",
    "an Arabic mark of direction": "\u061ccat",
    "a line separator": "cat\u2028dog",
    "a paragraph separator": "cat\u2029dog",
    "half of a surrogate pair": "\ud800",
    "the other half": "cat\udcff",
    "an unassigned character": "cat\u0378",
    "a noncharacter": "cat\ufffe",
}
"""Each is refused, and shown with escapes."""

SHOW_NOTHING = {
    "nothing": "",
    "a blank": " ",
    "a no-break space": "\u00a0",
    "an ideographic space": "\u3000",
    "a joiner": "\u200d",
    "a soft hyphen": "\u00ad",
    "a byte order mark": "\ufeff",
    "a zero-width space": "\u200b \u200b",
}
"""Each is refused: nobody would see it."""
