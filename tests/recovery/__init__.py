"""Copies of buckets in use, opened and compared with what was acknowledged."""
