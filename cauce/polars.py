"""`cauce.polars`: a topic as a Polars LazyFrame. Needs the extra `cauce[polars]`."""

from reader.engines.polars_scan import scan

__all__ = ["scan"]
