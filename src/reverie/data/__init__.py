"""Worlds whose truth is known, their captions, and the shards they are kept in."""
