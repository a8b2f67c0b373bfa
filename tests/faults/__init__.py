"""Each row of the design's table of faults, made with real parts, and the promise of its row looked at."""
