"""Topics for engines that spread work over processes: Spark, Dask, Polars. One plan cuts the work for all of them."""
