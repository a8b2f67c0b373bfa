"""Replay: a topic's records as Arrow, record segments straight from the bucket, what lies above them by Fetch."""
