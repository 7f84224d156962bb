"""The shared line: when it may be used, how fast, how much of the month is left, who is a neighbour. Imports no other room."""
