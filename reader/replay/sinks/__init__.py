"""Where replayed records go: one file a kind of sink."""
