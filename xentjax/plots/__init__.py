"""Pictures of runs, schedules and searches, drawn by matplotlib (extra `plot`) from plain records."""
