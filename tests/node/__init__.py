"""Tests that need Node and npm."""
