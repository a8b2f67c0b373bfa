"""Looks at what a node will stand on before one runs there: bucket, Redis, clock, disk, ports."""
