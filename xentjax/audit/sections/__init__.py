"""Sections of the report, one a danger: from a subject to measures, pictures and advice."""
