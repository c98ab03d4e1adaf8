"""Pictures of runs, schedules and searches: plain records, drawn by matplotlib (extra `plot`)."""
