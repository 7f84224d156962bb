"""The sample county: lessons that the project wrote and renders, a hub that publishes them, a box that shows them."""
