"""Addresses for a network that has nobody else to give them: DHCP only where it was asked for and no other server answers."""
