"""What is installed on a machine: the Debian package, and the images of cards and disks that carry it."""
