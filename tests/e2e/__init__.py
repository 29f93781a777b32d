"""Whole ways of tokens: issued by emulators to real clients, judged by a guarded API over real HTTP."""

import pytest

pytest.register_assert_rewrite("e2e.answers", "e2e.guards")
