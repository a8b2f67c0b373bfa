"""The read side: fetch (hot from the tail, cold from segments), sessions, offsets by time and by epoch."""
