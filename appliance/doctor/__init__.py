"""The field report: what a machine says of itself on one page, for whoever tries the image on a board."""
