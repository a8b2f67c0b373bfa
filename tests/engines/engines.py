"""Which engines are on this machine."""

import shutil
from importlib.util import find_spec

_MODULES = {"Spark": "pyspark", "Dask": "dask.dataframe", "Polars": "polars"}


def absent(engine: str) -> str | None:
    """Why an engine cannot be tested here, None when it can."""
    module = _MODULES[engine]
    if find_spec(module.partition(".")[0]) is None:
        return f"{module} is not installed: pip install 'cauce[{engine.lower()}]'"
    if engine == "Spark" and shutil.which("java") is None:
        return "there is no Java"
    return None
