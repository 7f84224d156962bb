"""Where an appliance keeps its data: on its card or on a labelled disk, found, checked and used at every start."""
