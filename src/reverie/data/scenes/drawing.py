"""Drawing a recorded clip with MuJoCo's renderer, and what a camera sees of each thing.

The drawn model moves nothing by physics: every thing is a mocap body put where the record says, so
that a drawn clip and a things-only clip of one plan are the same happening.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from reverie.core.camera import CameraPath, project
from reverie.core.errors import ReverieError
from reverie.core.vocabulary import COLOURS
from reverie.data.scenes.bodies import TINTS, Geom
from reverie.data.scenes.gaits import pose
from reverie.data.scenes.record import Record, Thing, matrices
from reverie.data.scenes.settings import TEXTURE, Look

SHADOW_MAP = 1024
SAMPLES = 4  # antialiasing; 0 would be a quarter faster and leaves 12-pixel things ragged
_HIDDEN, _ALONE = 4, 5  # geom groups: not drawn at all; drawn when a silhouette is measured
_GLOSS = {"bouncy": (0.35, 0.5), "sliding": (0.9, 0.95), "heavy": (0.08, 0.1)}


def tint(geom: Geom, colour: str) -> tuple[float, float, float]:
    """sRGB colour of a geom of a thing of that colour."""
    main = COLOURS[colour]
    if geom.tint == "main":
        return main
    if geom.tint == "deep":  # black has nothing darker than itself, so its details are lighter
        return (0.20, 0.20, 0.21) if colour == "black" else tuple(0.72 * c for c in main)
    if geom.tint == "ink" and colour == "black":
        return (0.55, 0.55, 0.56)
    if geom.tint == "net" and colour == "white":
        return (0.25, 0.25, 0.27)
    return TINTS[geom.tint]


def geom_xml(geom: Geom, name: str, rgba: tuple[float, float, float] | None = None, extra: str = "") -> str:
    """One <geom> element; a mesh geom refers to the mesh asset of the same name."""
    shape = (
        f'type="mesh" mesh="{name}"'
        if geom.shape == "mesh"
        else f'type="{geom.shape}" size="{" ".join(f"{s:.5f}" for s in geom.size)}"'
    )
    colour = "" if rgba is None else f' rgba="{rgba[0]:.4f} {rgba[1]:.4f} {rgba[2]:.4f} 1"'
    place = " ".join(f"{p:.6f}" for p in geom.pos)
    turn = " ".join(f"{q:.6f}" for q in geom.quat)
    return f'<geom name="{name}" {shape} pos="{place}" quat="{turn}"{colour}{extra}/>'


def mesh_xml(geom: Geom, name: str) -> str:
    """The <mesh> asset of a mesh geom."""
    points = " ".join(f"{c:.6f}" for point in geom.points for c in point)
    return f'<mesh name="{name}" vertex="{points}"/>'


def _props(thing: Thing) -> tuple[Geom, ...]:
    """What holds a thing up, drawn but no thing: a pendulum's stand, a hanging screen's cords."""
    body = thing.body
    if thing.kind == "pendulum" and thing.mode == "hinge":
        back, top = body.extent[1] + 0.16, 2 * body.extent[2] + 0.18
        return (
            Geom("box", (0.055, 0.055, top / 2), (0, back, 0.05 - top / 2)),
            Geom("box", (0.045, back / 2 + 0.03, 0.045), (0, back / 2, 0.03)),
            Geom("box", (0.40, 0.10, 0.04), (0, back, 0.09 - top)),
        )
    if thing.kind == "screen" and thing.mode == "hung":
        return tuple(
            Geom("capsule", (0.02, 3.0), (s * body.extent[0] * 0.8, 0, body.extent[2] + 3.0)) for s in (-1, 1)
        )
    return ()


def _model_xml(things: list[Thing], look: Look, height: int, width: int, fovy: float) -> str:
    assets, bodies = [look.assets], []
    for i, thing in enumerate(things):
        shine = "{} {}".format(*_GLOSS[thing.material])
        specular, shininess = shine.split()
        assets.append(f'<material name="m{i}" specular="{specular}" shininess="{shininess}"/>')
        geoms = []
        for k, geom in enumerate(thing.body.shown):
            if geom.shape == "mesh":
                assets.append(mesh_xml(geom, f"t{i}g{k}"))
            geoms.append(geom_xml(geom, f"t{i}g{k}", tint(geom, thing.colour), f' material="m{i}"'))
        bodies.append(f'<body name="t{i}" mocap="true">{"".join(geoms)}</body>')
        props = "".join(geom_xml(g, f"p{i}g{k}", (0.42, 0.40, 0.38)) for k, g in enumerate(_props(thing)))
        if props:
            bodies.append(f'<body name="p{i}" mocap="true">{props}</body>')
    return f"""<mujoco>
      <statistic extent="6" center="0 0 1"/>
      <visual>
        <global offwidth="{width}" offheight="{height}"/>
        <quality shadowsize="{SHADOW_MAP}" offsamples="{SAMPLES}"/>
        <map znear="0.02" zfar="12" shadowclip="1.0" shadowscale="0.75"/>
        <headlight {look.headlight}/>
      </visual>
      <default><geom contype="0" conaffinity="0"/></default>
      <asset>{"".join(assets)}</asset>
      <worldbody><camera name="front" fovy="{fovy:.5f}"/>{look.world}{"".join(bodies)}</worldbody>
    </mujoco>"""


def _gait(thing: Thing, record: Record, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Places (T, G, 3) and quaternions (T, G, 4) of a living thing's shown geoms, in its frame."""
    places, quats = pose(thing.kind, thing.size, record.phase[:, index], record.stride[:, index])
    return (places if thing.scale == 1 else thing.scale * places), quats


def extents_in_view(
    thing: Thing, record: Record, index: int, path: CameraPath, height: int, width: int
) -> np.ndarray:
    """Projected bounding box (T, 4) x0 y0 x1 y1 in pixels of a thing's shown geoms, not clipped.

    NaN where the thing is not there, or is not wholly in front of the camera.
    """
    place, turn = record.position[:, index], matrices(record.quat[:, index])
    corners, radii = [], []  # (T, P, 3) and (P,)
    body = thing.body
    frames = len(place)
    if thing.mode == "alive":
        spots, quats = _gait(thing, record, index)
    for k, geom in enumerate(body.shown):
        local, radius = outline(geom)
        if thing.mode == "alive":
            local = np.einsum("tij,pj->tpi", matrices(quats[:, k]), local) + spots[:, k, None]
        else:
            one = matrices(np.array([geom.quat]))[0]
            local = np.broadcast_to(local @ one.T + np.array(geom.pos), (frames, *local.shape))
        corners.append(np.einsum("tij,tpj->tpi", turn, local) + place[:, None])
        radii.append(radius)
    points, radius = np.concatenate(corners, 1), np.concatenate(radii)
    pixel, depth = project(points, path.position[:, None], path.rotation[:, None], path.fovy, height, width)
    focal = 0.5 * height / np.tan(np.radians(path.fovy) / 2)
    spread = (focal * radius / np.sqrt(np.maximum(depth**2 - radius**2, 1e-4)))[..., None]
    boxes = np.concatenate([(pixel - spread).min(1), (pixel + spread).max(1)], -1)
    gone = ~record.exists[:, index] | (depth - radius < 0.05).any(1)
    boxes[gone] = np.nan
    return boxes


def outline(geom: Geom) -> tuple[np.ndarray, np.ndarray]:
    """Points (P, 3) in a geom's frame and radii (P,) of the balls around them that outline it."""
    if geom.shape == "sphere":
        return np.zeros((1, 3)), np.array([geom.size[0]])
    if geom.shape == "capsule":
        return np.array([[0, 0, geom.size[1]], [0, 0, -geom.size[1]]]), np.full(2, geom.size[0])
    if geom.shape == "mesh":
        return np.array(geom.points), np.zeros(len(geom.points))
    if geom.shape == "box":
        corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * geom.size
        return corners, np.zeros(8)
    turn = np.arange(16) * np.pi / 8
    ring = np.stack([np.cos(turn), np.sin(turn), np.zeros(16)], -1)
    if geom.shape == "cylinder":
        ring = ring * geom.size[0]
        lift = np.array([0, 0, geom.size[1]])
        return np.concatenate([ring + lift, ring - lift]), np.zeros(32)
    rings = np.concatenate([ring, ring[:, [2, 0, 1]], ring[:, [0, 2, 1]]])
    return rings * geom.size, np.zeros(len(rings))


@dataclass
class Seen:
    """What one camera saw. frames uint8 (T, H, W, 3); boxes, visible, masks as in core.clip.Truth."""

    frames: np.ndarray
    boxes: np.ndarray
    visible: np.ndarray
    masks: np.ndarray


def _layers(boxes: np.ndarray, around: np.ndarray) -> list[list[int]]:
    """Things whose boxes meet another's, in groups whose members do not meet one another.

    boxes (N, 4) with NaN for the absent; around (N,) bool says which of them are asked for.
    """
    low, high = boxes[:, None, :2] - 1.5, boxes[:, None, 2:] + 1.5
    with np.errstate(invalid="ignore"):
        meet = ((low < boxes[None, :, 2:]) & (high > boxes[None, :, :2])).all(-1)
    np.fill_diagonal(meet, False)
    layers: list[list[int]] = []
    for i in np.flatnonzero(meet.any(1) & around):
        for layer in layers:
            if not meet[i, layer].any():
                layer.append(int(i))
                break
        else:
            layers.append([int(i)])
    return layers


def see(record: Record, look: Look, path: CameraPath, height: int, width: int) -> Seen:
    """Draws every frame of a record through one camera. Needs mujoco with a working GL (EGL, OSMesa)."""
    os.environ.setdefault("MUJOCO_GL", "egl")
    try:
        import mujoco
    except ImportError as error:
        raise ReverieError('drawing the lab needs mujoco: pip install "reverie[sim]"') from error
    things, count = record.things, len(record.things)
    model = mujoco.MjModel.from_xml_string(_model_xml(things, look, height, width, path.fovy))
    for name, picture in look.textures.items():
        start = model.tex_adr[model.texture(name).id]
        model.tex_data[start : start + TEXTURE * TEXTURE * 3] = picture.reshape(-1)
    model.geom_sameframe[:] = 0  # the gaits move geoms within their bodies
    data = mujoco.MjData(model)
    bodies = [model.body(f"t{i}").id for i in range(count)]
    slots = [int(model.body_mocapid[b]) for b in bodies]
    geoms = [np.flatnonzero(model.geom_bodyid == b) for b in bodies]
    props = {i: int(model.body_mocapid[model.body(f"p{i}").id]) for i in range(count) if _props(things[i])}
    prop_geoms = {i: np.flatnonzero(model.geom_bodyid == model.body(f"p{i}").id) for i in props}
    owner = np.zeros(model.ngeom + 1, np.uint8)  # geom -> mask value; the last entry is the background (-1)
    for i, mine in enumerate(geoms):
        owner[mine] = i + 1
    gaits = {i: _gait(t, record, i) for i, t in enumerate(things) if t.mode == "alive"}
    frames = len(record.exists)
    pictures = np.empty((frames, height, width, 3), np.uint8)
    masks = np.zeros((frames, height, width), np.uint8)
    visible = np.zeros((frames, count), np.float32)
    extents = np.stack([extents_in_view(t, record, i, path, height, width) for i, t in enumerate(things)], 1)
    option, alone = mujoco.MjvOption(), mujoco.MjvOption()
    option.geomgroup[:] = (1, 1, 1, 0, 0, 1)
    alone.geomgroup[:] = (0, 0, 0, 0, 0, 1)
    mujoco.mj_forward(model, data)
    with mujoco.Renderer(model, height, width, max_geom=model.ngeom + 50) as renderer:

        def owners(with_option) -> np.ndarray:
            renderer.update_scene(data, "front", with_option)
            return owner[renderer.render()[..., 0]]

        for t in range(frames):
            there = record.exists[t]
            for i in range(count):
                model.geom_group[geoms[i]] = 1 if there[i] else _HIDDEN
                if there[i]:
                    data.mocap_pos[slots[i]] = record.position[t, i]
                    data.mocap_quat[slots[i]] = record.quat[t, i]
            for i, (places, quats) in gaits.items():
                model.geom_pos[geoms[i]], model.geom_quat[geoms[i]] = places[t], quats[t]
            for i, slot in props.items():
                model.geom_group[prop_geoms[i]] = 1 if there[i] else _HIDDEN
                data.mocap_pos[slot], data.mocap_quat[slot] = record.prop_pose(i, t)
            mujoco.mj_kinematics(model, data)
            data.cam_xpos[0], data.cam_xmat[0] = path.position[t], path.rotation[t].reshape(-1)
            renderer.update_scene(data, "front", option)
            renderer.render(out=pictures[t])
            if not there.any():
                continue
            renderer.enable_segmentation_rendering()
            masks[t] = owners(option)
            pixels = np.bincount(masks[t].reshape(-1), minlength=count + 1)[1 : count + 1].astype(float)
            whole = pixels.copy()
            for layer in _layers(extents[t], there):
                for i in layer:
                    model.geom_group[geoms[i]] = _ALONE
                single = np.bincount(owners(alone).reshape(-1), minlength=count + 1)
                for i in layer:
                    whole[i] = single[i + 1]
                    model.geom_group[geoms[i]] = 1
            renderer.disable_segmentation_rendering()
            visible[t] = np.minimum(1.0, pixels / np.maximum(whole, 1))
    clipped = np.clip(extents, 0, (width, height, width, height))
    with np.errstate(invalid="ignore", divide="ignore"):
        inside = (clipped[..., 2:] - clipped[..., :2]).prod(-1) / (extents[..., 2:] - extents[..., :2]).prod(
            -1
        )
    visible *= np.nan_to_num(np.minimum(inside, 1.0)).astype(np.float32)
    clipped[~(visible > 0)] = np.nan
    return Seen(pictures, clipped.astype(np.float32), visible, masks)
