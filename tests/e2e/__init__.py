"""Guarded APIs against real Cognito emulators, over real loopback HTTP."""
