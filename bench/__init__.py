"""Benchmarks: load from librdkafka in processes of its own against a real node (`python -m bench --help`), and single
parts: record segments (`python -m bench.segments --help`).
"""
