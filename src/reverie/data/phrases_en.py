"""English words of the captions, and how a noun phrase is put together of them.

In a template {a} is who acts, {o} the other thing, {with} a phrase about it, {dir} a way and {side} a
side; "[x|y]" is x after one thing and y after several ("[s]" is short for "[s|]"); a part in round
brackets is left out when one of its blanks is unknown. The unfilled template is what the rule of
held-out phrasings hashes.
"""

from __future__ import annotations

import re

NOUNS = {  # kind -> (one, several), the plainest first
    "ball": (("ball", "balls"), ("sphere", "spheres"), ("orb", "orbs")),
    "box": (("box", "boxes"), ("cube", "cubes"), ("block", "blocks"), ("crate", "crates")),
    "cylinder": (("cylinder", "cylinders"), ("tube", "tubes"), ("can", "cans"), ("drum", "drums")),
    "cone": (("cone", "cones"), ("traffic cone", "traffic cones")),
    "plank": (("plank", "planks"), ("board", "boards"), ("wooden board", "wooden boards")),
    "ramp": (("ramp", "ramps"), ("slope", "slopes"), ("incline", "inclines")),
    "domino": (("domino", "dominoes"), ("domino tile", "domino tiles")),
    "pendulum": (("pendulum", "pendulums"), ("hanging weight", "hanging weights")),
    "basketball": (("basketball", "basketballs"),),
    "hoop": (("hoop", "hoops"), ("basketball hoop", "basketball hoops"), ("basket", "baskets")),
    "chair": (("chair", "chairs"), ("seat", "seats")),
    "table": (("table", "tables"), ("desk", "desks")),
    "wall": (("wall", "walls"), ("barrier", "barriers"), ("partition", "partitions")),
    "screen": (("screen", "screens"), ("curtain", "curtains"), ("shutter", "shutters")),
    "person": (
        ("person", "people"),
        ("man", "men"),
        ("woman", "women"),
        ("human", "humans"),
        ("pedestrian", "pedestrians"),
    ),
    "dog": (("dog", "dogs"), ("puppy", "puppies"), ("hound", "hounds")),
    "bird": (("bird", "birds"), ("songbird", "songbirds"), ("pigeon", "pigeons")),
}
COLOURS = {
    "red": ("red", "crimson", "scarlet", "bright red"),
    "orange": ("orange", "tangerine", "bright orange"),
    "yellow": ("yellow", "lemon", "bright yellow", "golden"),
    "green": ("green", "emerald", "grass-green"),
    "cyan": ("cyan", "turquoise", "aqua", "teal"),
    "blue": ("blue", "azure", "navy", "dark blue"),
    "purple": ("purple", "violet", "lilac"),
    "pink": ("pink", "rose", "light pink"),
    "white": ("white", "snow-white", "ivory"),
    "black": ("black", "jet-black", "pitch-black"),
}
SIZES = {
    "small": ("small", "little", "tiny"),
    "medium": ("medium-sized", "mid-sized"),
    "large": ("large", "big", "huge"),
}
MATERIALS = {
    "bouncy": ("bouncy", "rubber", "springy"),
    "sliding": ("slippery", "smooth", "icy"),
    "heavy": ("heavy", "weighty", "solid"),
}
SETTINGS = {
    "room": ("in a room", "indoors", "inside a room", "in an empty room", "on the floor of a room"),
    "table": ("on a table top", "on a tabletop", "on a wooden table top", "on a smooth table top"),
    "lawn": ("on the lawn", "on the grass", "outdoors on the grass", "on a sunny lawn", "in a garden"),
    "night": ("on the floor at night", "at night", "in the dark", "on a dark floor"),
}
NUMBERS = (
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
)
FORMS = {  # several things standing as one: first named, named again
    "row": (("a row of {n} {x}", "a line of {n} {x}"), ("the row of {x}", "the line of {x}")),
    "tower": (
        ("a tower of {n} {x}", "a stack of {n} {x}", "a pile of {n} {x}"),
        ("the tower", "the stack of {x}"),
    ),
}
DIRECTIONS = {
    "left": ("to the left", "left", "leftwards", "towards the left"),
    "right": ("to the right", "right", "rightwards", "towards the right"),
    "front": ("towards the camera", "forward", "towards us", "to the front"),
    "back": ("away from the camera", "to the back", "into the distance", "away from us"),
}
SIDES = {
    "left": ("from the left", "from the left side"),
    "right": ("from the right", "from the right side"),
    "front": ("from the front", "from behind the camera"),
    "back": ("from the back", "from the far side"),
}
PLACES = {
    "left": ("to the left of {o}", "left of {o}", "on the left side of {o}"),
    "right": ("to the right of {o}", "right of {o}", "on the right side of {o}"),
    "behind": ("behind {o}", "in back of {o}"),
    "front": ("in front of {o}", "just in front of {o}"),
    "on": ("on {o}", "on top of {o}", "upon {o}"),
}
SPOTS = {
    "left": ("on the left", "at the left"),
    "right": ("on the right", "at the right"),
    "middle": ("in the middle", "in the centre", "in the center"),
    "back": ("at the back", "far away", "in the background"),
    "front": ("at the front", "close to the camera", "in the foreground"),
}

WAYS = {
    ("pan", "left"): ("left", "to the left"),
    ("pan", "right"): ("right", "to the right"),
    ("tilt", "up"): ("up", "upwards"),
    ("tilt", "down"): ("down", "downwards"),
    ("orbit", "left"): ("left", "to the left"),
    ("orbit", "right"): ("right", "to the right"),
    ("dolly", "in"): ("in", "forward", "closer"),
    ("dolly", "out"): ("out", "back", "backwards", "away"),
    ("crane", "up"): ("up", "upwards", "higher"),
    ("crane", "down"): ("down", "downwards", "lower"),
}
AMOUNTS = {
    "degrees": ("by {n} degrees", "{n} degrees", "for {n} degrees"),
    "metres": ("by {n} metres", "{n} metres", "by {n} meters"),
}
_UNCOUNTED = re.compile(r"\[([^\[\]|]*)(?:\|([^\[\]]*))?\]")


def agree(text: str, several: bool) -> str:
    """Resolve the "[one|several]" parts of a template."""
    return _UNCOUNTED.sub(lambda m: (m[2] or "") if several else m[1], text)


def number(count: int) -> str:
    """ "two" for 2."""
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def counted(count: int, noun: tuple[str, str]) -> str:
    """What stands before the noun in "a row of five dominoes"."""
    return number(count)


def colours_of(noun: str, colours: list[str]) -> str:
    """Things of several colours: "boxes in red and blue"."""
    return f"{noun} in {enumerate_things(colours)}"


def described(kind: str, noun: tuple[str, str], count: int, colour: str, size: str, material: str) -> str:
    """The noun with its adjectives, no article: "small rubber red ball", "people in red"."""
    name = noun[count > 1]
    if kind == "person":  # a person's colour is that of their clothes
        words = [size, name, "in", colour] if colour else [size, name]
    else:
        words = [size, material, colour, name]
    return " ".join(word for word in words if word)


def indefinite(words: str, count: int, another: bool, noun: tuple[str, str]) -> str:
    """ "a ball", "an orange ball", "two balls", "another ball", "two more balls"."""
    if count > 1:
        return f"{number(count)} more {words}" if another else f"{number(count)} {words}"
    if another:
        return f"another {words}"
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def definite(words: str, count: int, total: int, plural: str, noun: tuple[str, str]) -> str:
    """ "the ball", "the two balls"; of several alike: "one of the red balls"."""
    if count < total:
        return f"{number(count)} of the {plural}"
    return f"the {words}" if count == 1 else f"the {number(count)} {words}"


def enumerate_things(names: list[str]) -> str:
    """ "a, b and c"."""
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def pronoun(several: bool) -> str:
    """What stands for lifeless things just named, as subject."""
    return "they" if several else "it"


def sentence(text: str, formal: bool) -> str:
    """Tidy spaces; formal: capitals and a full stop, otherwise as a person types it."""
    text = re.sub(r"\s+([,.;:])", r"\1", " ".join(text.split())).strip(" ,;")
    text = re.sub(r"([,;:])(?=[^\s])", r"\1 ", text)
    if not formal:
        return text
    text = re.sub(r"(^|[.] )([a-z])", lambda m: m[1] + m[2].upper(), text)
    return text + "."


WORD_EXTRAS = (
    "a",
    "an",
    "the",
    "of",
    "in",
    "more",
    "another",
    "and",
    "it",
    "they",
    "metre",
    "meter",
    "degree",
)
