"""The closed vocabularies of the simulated worlds, in the one order that weights and shards rely on.

Append only: an index, once given, is for ever (model files store indices).
"""

KINDS = (
    "ball", "box", "cylinder", "cone", "plank", "ramp", "domino", "pendulum", "basketball",
    "hoop", "chair", "table", "wall", "screen", "person", "dog", "bird",
)

# name -> sRGB in 0..1. Far apart under every setting's light.
COLOURS = {
    "red": (0.85, 0.10, 0.10),
    "orange": (1.00, 0.50, 0.05),
    "yellow": (0.98, 0.88, 0.10),
    "green": (0.10, 0.62, 0.15),
    "cyan": (0.10, 0.80, 0.85),
    "blue": (0.10, 0.22, 0.85),
    "purple": (0.50, 0.12, 0.65),
    "pink": (1.00, 0.55, 0.75),
    "white": (0.95, 0.95, 0.95),
    "black": (0.06, 0.06, 0.06),
}

SIZES = ("small", "medium", "large")
# What a setting looks like, in numbers: the unit direction from the stage to the light and how near that is
# (1 / metres, 0 for a sun), the sRGB of the ground and of what stands behind, and which of two patterns the
# ground has (-1 or 1; 0 where there is but one).
LOOK = ("light x", "light y", "light z", "light nearness", "ground red", "ground green", "ground blue",
        "back red", "back green", "back blue", "pattern")
MATERIALS = ("bouncy", "sliding", "heavy")
SETTINGS = ("room", "table", "lawn", "night")
ALIVE = ("person", "dog", "bird")  # articulated: they have a gait phase
FIXTURES = ("ramp", "hoop", "wall", "screen", "table", "chair")  # scenery that events act upon

# What can happen, as core.clip.Event.kind; "rests" is a thing that is simply there.
EVENTS = (
    "rests", "dropped", "thrown", "rolled", "slid", "pushed", "swung", "toppled", "stacked", "launched",
    "bounced", "hidden", "covered", "scored", "missed", "enters", "leaves", "walks", "camera",
)

# Camera action channels, one float32 per frame each. Positive pan turns the view to the right,
# positive tilt turns it up, positive orbit moves the camera to the right around the stage's centre
# (which it keeps facing), positive dolly moves it forward, positive crane moves it up.
CAMERA_CHANNELS = ("pan", "tilt", "orbit", "dolly", "crane")
CAMERA_UNITS = ("deg/s", "deg/s", "deg/s", "m/s", "m/s")
ACTION_SCALE = (30.0, 30.0, 30.0, 1.0, 1.0)  # in these units, what a network sees as 1

MAX_THINGS = 16  # thing tokens in a latent frame
FRAMES_PER_LATENT = 4
DEFAULT_FPS = 24.0
STAGE_CENTRE = (0.0, 0.0, 0.7)  # metres; what an orbiting camera keeps facing
