"""Both ends of the road: publish a tree of signed files, and update a box from one. Imports only `catalog`."""
