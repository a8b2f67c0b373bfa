"""From what a user writes behind `--to` to its sink."""

from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from infra.error_code import ErrorCode
from infra.errors import Refused
from reader.replay.sinks.port import Sink

FORMATS = ("parquet", "arrow", "csv", "jsonl")
_OF_SUFFIX = {
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    "": "parquet",
}
_FORMS = "a folder, FILE.arrow, FILE.csv, FILE.jsonl, duckdb:FILE?table=NAME, kafka://HOST:PORT/TOPIC or -"


def open_sink(to: str, *, topic: str, file_format: str | None = None, keep_partitions: bool = False) -> Sink:
    """The sink. `topic`: where the records come from; `file_format`: one of `FORMATS`, None: by the name.

    Raises `Refused` saying what to write instead.
    """
    if file_format is not None and file_format not in FORMATS:
        raise _refused(f"--format {file_format!r} is not known; write {', '.join(FORMATS)}")
    if to.startswith(("duckdb:", "kafka:")):
        if file_format is not None:
            raise _refused(f"--format has no meaning for {to}: leave it out")
        return _duckdb(to, topic) if to.startswith("duckdb:") else _kafka(to, topic, keep_partitions)
    if keep_partitions:
        raise _refused("--keep-partitions has a meaning for kafka:// only")
    return _pipe(file_format or "jsonl") if to == "-" else _file(to, file_format)


def _pipe(file_format: str) -> Sink:
    from reader.replay.sinks.stdout import ArrowPipe, TextPipe
    from reader.replay.sinks.text_formats import Csv, JsonLines

    if file_format == "arrow":
        return ArrowPipe()
    if file_format == "parquet":
        raise _refused("Parquet goes into a folder, not to stdout; write --format arrow, csv or jsonl")
    return TextPipe(Csv() if file_format == "csv" else JsonLines())


def _file(to: str, file_format: str | None) -> Sink:
    path = Path(to)
    if "://" in to:
        raise _refused(f"{to!r} is nothing to write to; write {_FORMS}")
    chosen = file_format or ("parquet" if path.is_dir() else _OF_SUFFIX.get(path.suffix.lower()))
    if chosen is None:
        raise _refused(f"{to!r} does not say what to write; add --format {', '.join(FORMATS)}")
    if chosen == "parquet":
        from reader.replay.sinks.parquet import ParquetFolder

        if path.exists() and not path.is_dir():
            raise _refused(f"{to!r} is a file; Parquet goes into a folder")
        return ParquetFolder(path)
    if chosen == "arrow":
        from reader.replay.sinks.arrow_file import ArrowFile

        return ArrowFile(path)
    from reader.replay.sinks.text_file import TextFile
    from reader.replay.sinks.text_formats import Csv, JsonLines

    return TextFile(path, Csv() if chosen == "csv" else JsonLines())


def _duckdb(to: str, topic: str) -> Sink:
    from reader.replay.sinks.duckdb_table import DuckdbTable

    parts = urlsplit(to)
    options = dict(parse_qsl(parts.query))
    table = options.pop("table", topic)
    path = unquote(parts.netloc + parts.path)
    if not path or options:
        raise _refused(f"{to!r} is no table; write duckdb:FILE?table=NAME")
    return DuckdbTable(Path(path), table)


def _kafka(to: str, topic: str, keep_partitions: bool) -> Sink:
    from reader.replay.sinks.kafka import KafkaTopic

    parts = urlsplit(to)
    target = unquote(parts.path.strip("/"))
    if not parts.netloc or not target or "/" in target:
        raise _refused(f"{to!r} is no topic; write kafka://HOST:PORT/TOPIC")
    progress = Path(f"{topic}-to-{target}.replay.json")
    settings = dict(parse_qsl(parts.query))
    return KafkaTopic(parts.netloc, target, progress, keep_partitions=keep_partitions, settings=settings)


def _refused(sentence: str) -> Refused:
    return Refused(ErrorCode.INVALID_REQUEST, sentence)
