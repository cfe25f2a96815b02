"""Acceptance numbers at full size, one table per issue of the first release plan."""
