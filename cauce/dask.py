"""`cauce.dask`: a topic as a Dask dataframe. Needs the extra `cauce[dask]`, also where workers run."""

from reader.engines.dask_read import read

__all__ = ["read"]
