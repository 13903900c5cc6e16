"""A checkpoint that is wrong: seeded damage to its bytes, as of a disk or of a copy that was cut off."""

import random


def mutate(r: random.Random, content: bytes) -> tuple[bytes, str]:
    """The bytes of a damaged checkpoint, and what has happened to them."""
    changed, kind = bytearray(content), r.choice(["flip", "flip", "cut", "append", "zeros"])
    place = r.randrange(len(content))
    if kind == "flip":
        changed[place] ^= 1 << r.randrange(8)
    elif kind == "cut":
        del changed[place:]
    elif kind == "append":
        changed += r.randbytes(20)
    else:
        changed[place : place + 64] = bytes(len(changed[place : place + 64]))
    return bytes(changed), f"{kind} at {place}"
