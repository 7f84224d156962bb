"""The box's end: the newest release is accepted, planned, fetched, shown, and kept whole."""
