"""What travels instead of the blobs themselves: packs of small ones, patches of edited ones. Made here and opened here."""
