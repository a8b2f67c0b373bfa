"""Topics in Spark, Dask and Polars, and the planner below them."""
