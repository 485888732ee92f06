"""What every test shares."""

from __future__ import annotations

import hypothesis

# The machine may be busy with other tests; how long one example takes says nothing.
hypothesis.settings.register_profile("lnn", deadline=None)
hypothesis.settings.load_profile("lnn")
