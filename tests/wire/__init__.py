"""Suites of real clients against a real node: the same cases for every client library."""
