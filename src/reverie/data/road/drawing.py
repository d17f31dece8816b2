"""Drawing a trace of traffic with MuJoCo's renderer, from every camera of a rig, and what each camera sees of whom.

Nothing is moved by physics: every agent is put where the trace says. Our own car is not drawn: it carries the cameras.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

import numpy as np

from reverie.core.camera import CameraPath, project
from reverie.core.errors import ReverieError
from reverie.data.road.agents import PAINTS, PARTS, geoms, walked
from reverie.data.road.lights import LIGHTS
from reverie.data.road.rig import Mount
from reverie.data.road.town import Mesh, Post, Town, built
from reverie.data.road.trace import Trace
from reverie.data.road.weather import Weather
from reverie.data.scenes.bodies import Geom
from reverie.data.scenes.drawing import Seen, geom_xml, mesh_xml

EXTENT = 30.0  # metres, what MuJoCo's distances are told in
FACADE = 128  # pixels of a painted wall's side
FILLED = 0.6  # share of its box that an agent in plain sight fills
NEAREST, LAMPS = 0.12, 4  # metres before a lens that are not drawn; street lamps that shed light
CLOSE = 18.0  # metres around a camera within which everything is drawn, for its shadow may be in the picture
BRAKES = -0.8  # m/s^2 from which brake lights are lit
_SHOWN = {"r": (0.95, 0.08, 0.05), "y": (1.0, 0.75, 0.05), "g": (0.10, 0.90, 0.30)}
_GREY = (0.20, 0.20, 0.21)


def see(trace: Trace, weather: Weather, mounts: Sequence[Mount], size: tuple[int, int], seed: int
        ) -> tuple[dict[str, Seen], dict[str, CameraPath]]:
    """Every frame through every camera, in (H, W) pixels. Needs mujoco with a working GL (EGL, OSMesa).

    A box is that of an agent's upright box, clipped to the picture; its share in sight is told by how much of that box
    it fills, and is 1 from FILLED on.
    """
    paths = {mount.name: mount.path(trace.place[:, trace.ego], trace.heading[:, trace.ego], size) for mount in mounts}
    height, width = size
    frames, count = trace.frames, len(trace.kinds)
    seen = {name: Seen(np.empty((frames, height, width, 3), np.uint8), boxes_of(trace, path, size),
                       np.zeros((frames, count), np.float32), np.zeros((frames, height, width), np.uint8))
            for name, path in paths.items()}
    with staged(trace, weather, size, seed) as stage:
        for t in range(frames):
            stage.at(t)
            for name, path in paths.items():
                stage.through(path, t, width / height)
                stage.picture(seen[name].frames[t])
                seen[name].masks[t] = stage.mask()
    for view in seen.values():
        pixels = np.stack([np.bincount(mask.ravel(), minlength=count + 1)[1 : count + 1] for mask in view.masks])
        area = (view.boxes[..., 2:] - view.boxes[..., :2]).prod(-1)
        view.visible[:] = np.clip(pixels / np.where(area > 0, FILLED * area, np.inf), 0, 1)
        view.boxes[pixels == 0] = np.nan
    return seen, paths


@contextlib.contextmanager
def staged(trace: Trace, weather: Weather, size: tuple[int, int], seed: int, way: np.ndarray | None = None
           ) -> Iterator[Stage]:
    """A trace ready to be drawn, in (H, W) pixels. Our car's place and heading are read from the trace when they are
    needed, so that it may go another way than it went. way (K, 2): places around which the town is built, if not our
    car's in the trace. Needs mujoco with a working GL (EGL, OSMesa)."""
    os.environ.setdefault("MUJOCO_GL", "egl")
    try:
        import mujoco
    except ImportError as error:
        raise ReverieError('drawing the road needs mujoco: pip install "reverie[sim]"') from error
    others = [n for n in range(len(trace.kinds)) if n != trace.ego]
    town = built(trace.net, trace.place[:, trace.ego] if way is None else way, seed)
    model = mujoco.MjModel.from_xml_string(_model_xml(trace, others, town, weather, size, seed))
    if "facade" in [model.tex(n).name for n in range(model.ntex)]:
        start = model.tex_adr[model.texture("facade").id]
        model.tex_data[start : start + FACADE * FACADE * 3] = _facade(weather.dark).reshape(-1)
    with mujoco.Renderer(model, *size, max_geom=model.ngeom + 50) as renderer:
        yield Stage(mujoco, renderer, model, trace, others, town, weather)


class Stage:
    """A compiled model and where its parts are: ``at`` a frame, ``through`` a camera, then ``picture`` and ``mask``."""

    def __init__(self, mujoco, renderer, model, trace: Trace, others: list[int], town: Town, weather: Weather) -> None:
        self.mujoco, self.renderer, self.model, self.trace, self.weather = mujoco, renderer, model, trace, weather
        self.data = mujoco.MjData(model)
        self.bodies = {n: model.body(f"a{n}").id for n in others}
        self.geoms = {n: np.flatnonzero(model.geom_bodyid == body) for n, body in self.bodies.items()}
        self.owner = np.zeros(model.ngeom + 1, np.uint8)
        for n, mine in self.geoms.items():
            self.owner[mine] = n + 1
        model.geom_sameframe[:] = 0  # walkers' limbs move within their bodies
        self.walks = [n for n in others if trace.kinds[n] == "person"]
        self.lights = [(post.number, [model.geom(f"p{k}glight{letter}").id for letter in _SHOWN])
                       for k, post in enumerate(town.posts) if post.what == "light"]
        self.lamps = np.array([post.at for post in town.posts if post.what == "lamp"]).reshape(-1, 2)
        self.tails = {n: [g for g in self.geoms[n] if "tail" in model.geom(int(g)).name] for n in others}
        self.option = mujoco.MjvOption()
        named = [model.geom(g).name for g in range(model.ngeom)]
        self.posts = [(post.at, 1.0 + 0.5 * float(np.hypot(*post.size[:2])) if post.what == "house" else 3.0,
                       np.array([g for g, name in enumerate(named) if name.partition("g")[0] == f"p{k}"]))
                      for k, post in enumerate(town.posts)]
        mujoco.mj_forward(model, self.data)

    def at(self, t: int) -> None:
        """Put everybody where they are in a frame."""
        trace, model, data = self.trace, self.model, self.data
        slowing = (trace.speed[max(t, 1)] - trace.speed[max(t, 1) - 1]) * trace.fps < BRAKES
        for n, body in self.bodies.items():
            if trace.exists[t, n]:
                slot = model.body_mocapid[body]
                data.mocap_pos[slot] = *trace.place[t, n], 0.0
                half = trace.heading[t, n] / 2
                data.mocap_quat[slot] = np.cos(half), 0, 0, np.sin(half)
                for g in self.tails[n]:
                    model.geom_rgba[g, :3] = (1.0, 0.25, 0.2) if slowing[n] else PARTS["tail"]
        walks = [n for n in self.walks if trace.exists[t, n]]
        for n, spots, quats in zip(walks, *walked(trace.place[: t + 1, walks], trace.speed[t, walks]), strict=True):
            model.geom_pos[self.geoms[n]], model.geom_quat[self.geoms[n]] = spots, quats
        for number, bulbs in self.lights:
            shown = LIGHTS[trace.signals[t, number]]
            for bulb, letter in zip(bulbs, _SHOWN, strict=True):
                model.geom_rgba[bulb, :3] = _SHOWN[letter] if letter == shown else (0.10, 0.10, 0.10)
        self.mujoco.mj_kinematics(model, data)
        here = np.array([*trace.place[t, trace.ego], 0.0])
        data.light_xpos[0] = here - 40 * np.array(self.weather.to)
        if self.weather.dark:
            heading = trace.heading[t, trace.ego]
            ahead = np.array([np.cos(heading), np.sin(heading), 0])
            data.light_xpos[1], data.light_xdir[1] = here + 2.0 * ahead + (0, 0, 0.7), ahead - (0, 0, 0.10)
            nearest = np.argsort(np.hypot(*(self.lamps - here[:2]).T))[:LAMPS]
            for k, lamp in enumerate(nearest):
                data.light_xpos[2 + k], data.light_xdir[2 + k] = (*self.lamps[lamp], 5.0), (0, 0, -1)

    def through(self, path: CameraPath, t: int, aspect: float, now: int | None = None) -> None:
        """Look through a camera at pose t of its path: what stands or drives outside of its view, and not near by, is
        left out. now: the trace's frame, where that is another than t."""
        now, spot, ahead = t if now is None else now, path.position[t, :2], -path.rotation[t, :2, 2]
        slope = np.tan(np.radians(path.fovy) / 2) * aspect

        def shown(at: np.ndarray, reach: float) -> bool:
            gap = at - spot
            deep, aside = float(gap @ ahead), float(abs(gap[0] * ahead[1] - gap[1] * ahead[0]))
            return bool(gap @ gap < CLOSE**2 or deep > -reach and aside < deep * slope + reach * (1 + slope))

        group = self.model.geom_group
        for at, reach, mine in self.posts:
            group[mine] = 1 if shown(at, reach) else 4
        for n, mine in self.geoms.items():
            group[mine] = 1 if self.trace.exists[now, n] and shown(self.trace.place[now, n], 4.0) else 4
        self.data.cam_xpos[0], self.data.cam_xmat[0] = path.position[t], path.rotation[t].reshape(-1)
        self.model.cam_fovy[0] = path.fovy

    def picture(self, out: np.ndarray) -> None:
        """Draw into ``out``, uint8 (H, W, 3)."""
        self.renderer.update_scene(self.data, "eye", self.option)
        self.renderer.scene.flags[self.mujoco.mjtRndFlag.mjRND_FOG] = 1
        self.renderer.scene.flags[self.mujoco.mjtRndFlag.mjRND_SHADOW] = self.weather.shadows
        self.renderer.render(out=out)

    def mask(self) -> np.ndarray:
        """Who is seen where: (H, W) uint8, agent + 1, 0 background."""
        self.renderer.enable_segmentation_rendering()
        self.renderer.update_scene(self.data, "eye", self.option)
        seen = self.owner[self.renderer.render()[..., 0]]
        self.renderer.disable_segmentation_rendering()
        return seen


# -- the model ----------------------------------------------------------------------------------------


def _model_xml(trace: Trace, others: Sequence[int], town: Town, weather: Weather, size: tuple[int, int],
               seed: int) -> str:
    rng = np.random.default_rng([seed, 17])
    wet = 1 - 0.45 * weather.wet
    colours = {"road": _times((0.27, 0.27, 0.29), wet), "pavement": _times((0.60, 0.58, 0.55), wet),
               "white": (0.88, 0.88, 0.86), "yellow": (0.88, 0.70, 0.15)}
    assets, world, bodies = [], [], []
    for name, mesh in town.meshes.items():
        if mesh.count:
            assets.append(_mesh(name, mesh))
            gloss = f' material="{"wet" if weather.wet and name == "road" else "dull"}"'
            world.append(f'<geom type="mesh" mesh="{name}" rgba="{_rgb(colours[name])} 1"{gloss}/>')
    for k, post in enumerate(town.posts):
        world += _post_xml(post, k, weather)
    for n in others:
        kind, paint = trace.kinds[n], PAINTS[trace.paints[n]]
        parts = []
        for g, geom in enumerate(geoms(kind)):
            name = f"a{n}g{g}{geom.tint}"
            if geom.shape == "mesh":
                assets.append(mesh_xml(geom, name))
            lit = weather.dark and geom.tint in ("lamp", "tail")
            parts.append(geom_xml(geom, name, _tint(geom, paint), ' material="lit"' if lit else ' material="paint"'))
        bodies.append(f'<body name="a{n}" mocap="true">{"".join(parts)}</body>')
    lamps = "".join(f'<light name="l{k}" pos="0 0 -50" dir="0 0 -1" castshadow="false" cutoff="58" exponent="4" '
                    'attenuation="1 0.02 0.006" diffuse="0.85 0.75 0.5" specular="0.1 0.1 0.1"/>' for k in range(LAMPS))
    own = ('<light name="own" pos="0 0 -50" dir="1 0 0" castshadow="false" cutoff="32" exponent="6" '
           'attenuation="1 0.02 0.001" diffuse="0.9 0.9 0.82" specular="0.2 0.2 0.2"/>')
    grass = _times((0.28, 0.40, 0.20) if weather.name != "rain" else (0.24, 0.33, 0.19), rng.uniform(0.9, 1.1))
    near, far = weather.haze
    return f"""<mujoco>
      <statistic extent="{EXTENT}" center="0 0 1"/>
      <visual>
        <global offwidth="{size[1]}" offheight="{size[0]}"/>
        <quality shadowsize="1024" offsamples="4" numslices="14" numstacks="8" numquads="1"/>
        <map znear="{NEAREST / EXTENT}" zfar="{400 / EXTENT}" shadowclip="1.2" shadowscale="0.6"
             fogstart="{near / EXTENT}" fogend="{far / EXTENT}"/>
        <headlight ambient="{_rgb(weather.ambient)}" diffuse="0 0 0" specular="0 0 0"/>
        <rgba fog="{_rgb(weather.low)} 1"/>
      </visual>
      <default><geom contype="0" conaffinity="0"/></default>
      <asset>
        <texture type="skybox" builtin="gradient" rgb1="{_rgb(weather.high)}" rgb2="{_rgb(weather.low)}"
                 width="64" height="384"/>
        <texture name="facade" type="2d" builtin="flat" width="{FACADE}" height="{FACADE}"/>
        <material name="facade" texture="facade" texrepeat="0.16 0.16" texuniform="true" specular="0"
                  emission="{0.35 if weather.name == "night" else 0}"/>
        <material name="dull" specular="0" shininess="0"/>
        <material name="wet" specular="0.8" shininess="0.8"/>
        <material name="paint" specular="0.5" shininess="0.7"/>
        <material name="lit" emission="1"/>
        {"".join(assets)}
      </asset>
      <worldbody>
        <camera name="eye"/>
        <light name="sun" directional="true" pos="0 0 40" dir="{_rgb3(weather.to)}" diffuse="{_rgb(weather.sun)}"
               specular="0.2 0.2 0.2" castshadow="{"true" if weather.shadows else "false"}"/>
        {own + lamps if weather.dark else ""}
        <geom type="plane" size="600 600 1" pos="0 0 -0.06" rgba="{_rgb(grass)} 1" material="dull"/>
        {"".join(world)}{"".join(bodies)}
      </worldbody>
    </mujoco>"""


def _post_xml(post: Post, k: int, weather: Weather) -> list[str]:
    """The geoms of something that stands."""
    x, y = post.at
    parts: list[str] = []
    turn = f'quat="{np.cos(post.heading / 2):.5f} 0 0 {np.sin(post.heading / 2):.5f}"'

    def geom(shape: str, size: Sequence[float], at: Sequence[float], rgb: Sequence[float], more: str = "",
             name: str = "") -> str:
        sizes = " ".join(f"{v:.3f}" for v in size)
        place = np.array([np.cos(post.heading), np.sin(post.heading)])
        px, py = x + at[0] * place[0] - at[1] * place[1], y + at[0] * place[1] + at[1] * place[0]
        parts.append(name)
        label = f'name="{name or f"p{k}g{len(parts)}"}" '
        return (f'<geom {label}type="{shape}" size="{sizes}" pos="{px:.3f} {py:.3f} {at[2]:.3f}" {turn} '
                f'rgba="{_rgb(rgb)} 1" {more or "material=" + chr(34) + "dull" + chr(34)}/>')

    if post.what == "house":
        length, depth, height = post.size
        return [geom("box", (length / 2, depth / 2, height / 2), (0, 0, height / 2), post.tint, 'material="facade"'),
                geom("box", (length / 2 + 0.2, depth / 2 + 0.2, 0.2), (0, 0, height + 0.1), (0.35, 0.33, 0.32))]
    if post.what == "tree":
        height, crown = post.size
        return [geom("cylinder", (0.14, height / 3), (0, 0, height / 3), (0.34, 0.25, 0.17)),
                geom("ellipsoid", (crown, crown, 0.4 * height), (0, 0, 0.68 * height), post.tint)]
    if post.what == "lamp":
        return [geom("cylinder", (0.07, post.size[0] / 2), (0, 0, post.size[0] / 2), (0.30, 0.31, 0.33)),
                geom("box", (0.35, 0.12, 0.06), (0.3, 0, post.size[0]), (1.0, 0.95, 0.75),
                     'material="lit"' if weather.dark else "")]
    height = post.size[0]
    bulbs = [geom("sphere", (0.13,), (-0.14, 0, height + 0.1 - 0.3 * n), (0.1, 0.1, 0.1), 'material="lit"',
                  f"p{k}glight{letter}") for n, letter in enumerate(_SHOWN)]
    return [geom("cylinder", (0.06, height / 2), (0, 0, height / 2), (0.25, 0.26, 0.27)),
            geom("box", (0.12, 0.2, 0.5), (0, 0, height - 0.2), (0.07, 0.07, 0.08)), *bulbs]


def _mesh(name: str, mesh: Mesh) -> str:
    points, faces = np.concatenate(mesh.points), np.concatenate(mesh.faces)
    return (f'<mesh name="{name}" inertia="shell" vertex="{" ".join(f"{v:.3f}" for v in points.ravel())}" '
            f'face="{" ".join(map(str, faces.ravel()))}"/>')


def _facade(dark: bool) -> np.ndarray:
    """Rows of windows on a plain wall: uint8 (FACADE, FACADE, 3), which a house's own colour is multiplied with."""
    wall = np.full((FACADE, FACADE, 3), 235, np.uint8)
    rng = np.random.default_rng(5)
    for row in range(2):
        for column in range(2):
            y, x = row * 64 + 16, column * 64 + 18
            lit = dark and rng.random() < 0.5
            wall[y - 3 : y + 35, x - 3 : x + 31] = 250
            wall[y : y + 32, x : x + 28] = (255, 225, 140) if lit else (70, 84, 100)
    return wall


def _tint(geom: Geom, paint: Sequence[float]) -> tuple[float, float, float]:
    if geom.tint == "main":
        return tuple(paint)
    return _times(paint, 0.55) if geom.tint == "deep" else PARTS[geom.tint]


def _times(colour: Sequence[float], by: float) -> tuple[float, float, float]:
    return tuple(min(c * by, 1.0) for c in colour)


def _rgb(colour: Sequence[float]) -> str:
    return " ".join(f"{min(max(c, 0.0), 1.0):.4f}" for c in colour)


def _rgb3(vector: Sequence[float]) -> str:
    return " ".join(f"{c:.4f}" for c in vector)


# -- boxes --------------------------------------------------------------------------------------------


def _edges(trace: Trace) -> np.ndarray:
    """Points (T, N, P, 3) along the edges of each agent's upright box."""
    along = np.linspace(-1, 1, 5)
    grid = np.array([(a, b, c) for a in along for b in along for c in along
                     if sum(abs(v) == 1 for v in (a, b, c)) > 1])
    local = grid[None] * trace.size[:, None] / 2
    local[..., 2] += trace.size[:, None, 2] / 2
    cos, sin = np.cos(trace.heading)[..., None], np.sin(trace.heading)[..., None]
    x = trace.place[..., 0, None] + cos * local[None, ..., 0] - sin * local[None, ..., 1]
    y = trace.place[..., 1, None] + sin * local[None, ..., 0] + cos * local[None, ..., 1]
    return np.stack([x, y, np.broadcast_to(local[None, ..., 2], x.shape)], -1)


def boxes_of(trace: Trace, path: CameraPath, size: tuple[int, int]) -> np.ndarray:
    """Boxes (T, N, 4) in pixels, clipped to the picture; NaN where nothing of it is there, and for our own car."""
    pixel, depth = project(_edges(trace), path.position[:, None, None], path.rotation[:, None, None], path.fovy, *size)
    pixel = np.where((depth > NEAREST)[..., None], pixel, np.nan)
    low = np.where(np.isnan(pixel), np.inf, pixel).min(2)
    high = np.where(np.isnan(pixel), -np.inf, pixel).max(2)
    boxes = np.clip(np.concatenate([low, high], -1), 0, np.array([size[1], size[0]] * 2)).astype(np.float32)
    gone = ~trace.exists | ~((boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1]))
    gone[:, trace.ego] = True
    boxes[gone] = np.nan
    return boxes
