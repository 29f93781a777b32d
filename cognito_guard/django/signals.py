"""
Tell whoever listens who came in, and who was refused.

Receivers can't change a decision: what they raise is logged by Django and goes no further.  In async requests
Django runs plain receivers in a thread; async ones are awaited.
"""

from __future__ import annotations

from django.dispatch import Signal

principal_verified: Signal = Signal()
"""Sent once per request with good credentials: `request`, `principal`."""

request_refused: Signal = Signal()
"""Sent once per refused request: `request`, and the `challenge` with its `reason`."""
