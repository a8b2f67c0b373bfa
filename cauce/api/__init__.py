"""Handlers that speak for the whole cluster, one file an API."""
