"""The school's wireless network: whether the machine is on it, and why not, told wherever somebody looks."""
