"""wal room."""
