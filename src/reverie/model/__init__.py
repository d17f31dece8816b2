"""The networks and how they are sampled; knows nothing of files but its own weights."""
