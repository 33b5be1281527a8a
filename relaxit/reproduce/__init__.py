"""Stored studies: what was published or worked out, run again and compared cell by cell."""
