"""The publisher's keys and signatures, and what a box accepts of them: the only users of The Update Framework."""
