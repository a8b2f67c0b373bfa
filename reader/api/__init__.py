"""Handlers of the read side, one file an API."""
