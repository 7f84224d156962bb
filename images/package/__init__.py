"""The Debian package: this project and its wheels as files, units and defaults, for any Debian 13 machine."""
