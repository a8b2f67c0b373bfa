"""Compaction, cleaning, retention and garbage: the room is kept, the code comes with reading history."""
