"""Content comes in: lists and folders become resources and blobs. Only the hub imports this package."""
