"""What content is, where it is kept, how it is described and searched. Imports none of our other packages."""
