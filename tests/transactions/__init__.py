"""Transaction coordinators: the machine against a model, records, the shell over logs in memory, handlers."""
