"""The hub's end: a library becomes the next signed release of a static tree."""
