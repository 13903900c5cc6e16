"""The installed command `meta-rl`: one door to the programs of the other wings, and new experiments."""
