"""The ground floor: what several rooms share. Imports nothing of ingest, reader, compactor or cauce."""
