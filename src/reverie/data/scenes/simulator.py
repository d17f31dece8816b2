"""Physics of a span of time: things, what drives them, and the record of what they did.

MuJoCo steps the things that physics moves; things that are held, lowered or that walk are driven
along given motions. A span starts from a state and may be run again from the same state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from reverie.core.errors import ReverieError
from reverie.data.scenes.drawing import geom_xml, mesh_xml
from reverie.data.scenes.record import Record, Thing, heading

LONGEST_STEP = 1 / 236  # seconds: ten steps a frame at 24 fps; shorter ones change nothing one sees
_PARKED = np.array([60.0, 0.0, 60.0])  # where things wait that are not in the world

# material -> density kg/m3, friction, solref, priority (a pair takes the parameters of the higher one)
_MATTER = {
    "bouncy": (220.0, 0.6, "-24000 -26", 2),  # rebounds with about 3/4 of its speed
    "sliding": (400.0, 0.07, "0.014 1", 1),
    "heavy": (900.0, 0.75, "0.014 1", 0),
}
_HOLLOW = {"domino": 0.35, "wall": 0.5, "table": 0.6, "screen": 0.6}  # share of its kind's density

Pose = tuple[np.ndarray, np.ndarray, np.ndarray, float, float]  # position, quat, velocity, phase, stride


@dataclass
class Drive:
    """From ``start`` to ``end`` seconds a thing follows ``motion``; at ``end`` it is let go.

    motion: seconds -> Pose, or None for no driving (start = end: only a kick). velocity, spin: m/s and
    rad/s (world and own frame) given when it is let go, or None to leave what it has. aim: position ->
    velocity, for a kick that depends on where the thing lies by then. leave: it is gone at ``end``.
    """

    thing: int
    start: float
    end: float
    motion: Callable[[float], Pose] | None = None
    velocity: np.ndarray | None = None
    spin: np.ndarray | None = None
    aim: Callable[[np.ndarray], np.ndarray | None] | None = None
    leave: bool = False
    done: bool = field(default=False, repr=False)


@dataclass
class State:
    """Where a thing is at a span's start."""

    position: np.ndarray
    quat: np.ndarray = field(default_factory=lambda: heading(0.0))
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(3))
    spin: np.ndarray = field(default_factory=lambda: np.zeros(3))
    phase: float = 0.0
    since: float = 0.0  # seconds at which it comes into the world
    gone: bool = False


def _xml(things: list[Thing], states: list[State], step: float) -> str:
    assets, bodies = [], []
    for i, (thing, state) in enumerate(zip(things, states, strict=True)):
        if state.gone:
            continue
        body = thing.body
        density, friction, solref, priority = _MATTER[thing.material]
        density *= _HOLLOW.get(thing.kind, 1.0)
        if (
            thing.kind in ("wall", "ramp", "hoop", "screen", "table", "chair", "domino")
            and thing.material == "bouncy"
            and thing.mode == "free"
        ):
            solref = "0.014 1"  # furniture does not hop
        if thing.kind == "domino":  # they must slip over one another, or they stop leaning
            friction, priority = 0.25, 1
        contact = f' density="{density:g}" friction="{friction} 0.005 0.0002"'
        contact += f' solref="{solref}" priority="{priority}"'
        geoms = []
        for k, geom in enumerate(body.geoms):
            if geom.solid and (thing.mode != "hinge" or k == 0):
                if geom.shape == "mesh":
                    assets.append(mesh_xml(geom, f"t{i}g{k}"))
                geoms.append(geom_xml(geom, f"t{i}g{k}", extra=contact))
        joint = ""
        if thing.mode == "free":
            mass = density * 8 * float(np.prod(body.extent))
            joint = f'<joint name="j{i}" type="free" damping="{0.02 * mass * min(body.extent) ** 2:.6f}"/>'
        elif thing.mode == "hinge":
            mass = density * 4 * body.extent[0] ** 3
            joint = (
                f'<joint name="j{i}" type="hinge" axis="0 1 0" pos="0 0 {body.pivot:.5f}"'
                f' damping="{0.03 * mass:.5f}"/>'
            )
        place = " ".join(f"{p:.9g}" for p in state.position)
        turn = " ".join(f"{q:.9g}" for q in state.quat)
        mocap = "" if joint else ' mocap="true"'
        bodies.append(f'<body name="t{i}" pos="{place}" quat="{turn}"{mocap}>{joint}{"".join(geoms)}</body>')
    return f"""<mujoco>
      <option timestep="{step:.9f}" integrator="implicitfast" iterations="20" ls_iterations="12">
        <flag sleep="enable"/></option>
      <asset>{"".join(assets)}</asset>
      <worldbody><geom name="ground" type="plane" size="0 0 1" friction="0.75 0.005 0.0002" solref="0.014 1"/>
      {"".join(bodies)}</worldbody></mujoco>"""


class Span:
    """One run of the physics from given states; ``run`` gives its record."""

    def __init__(self, things: list[Thing], states: list[State], drives: list[Drive], fps: float) -> None:
        try:
            import mujoco
        except ImportError as error:
            raise ReverieError('simulating the lab needs mujoco: pip install "reverie[sim]"') from error
        self._mujoco = mujoco
        self.things, self.states, self.drives, self.fps = things, states, drives, fps
        self.steps = int(np.ceil(1 / fps / LONGEST_STEP))
        model = mujoco.MjModel.from_xml_string(_xml(things, states, 1 / fps / self.steps))
        self.model, self.data = model, mujoco.MjData(model)
        self._present = [i for i, s in enumerate(states) if not s.gone]
        bodies = {i: model.body(f"t{i}").id for i in self._present}
        self._slot = {i: int(model.body_mocapid[b]) for i, b in bodies.items()}
        self._q, self._v = {}, {}
        for i, b in bodies.items():
            if model.body_jntnum[b]:
                joint = int(model.body_jntadr[b])
                self._q[i], self._v[i] = int(model.jnt_qposadr[joint]), int(model.jnt_dofadr[joint])
        owner = {b: i for i, b in bodies.items()}
        self._owner = [owner.get(int(b), -1) for b in model.geom_bodyid]
        self._bodies = bodies
        self._pairs: dict[bytes, frozenset] = {}
        self._gait = {i: (s.phase, 0.0) for i, s in enumerate(states)}
        self._driven_velocity = {i: np.zeros(3) for i in self._present}
        self.since = {i: states[i].since for i in self._present}
        self.removed: set[int] = set()
        for i in self._present:
            self._put(i, states[i].position, states[i].quat, states[i].velocity, states[i].spin)
            if things[i].mode == "hinge":
                self.data.qpos[self._q[i]] = 0.0  # the body's own pose carries the angle, see below
                self.data.qvel[self._v[i]] = states[i].spin[1]

    def _put(
        self, i: int, place: np.ndarray, quat: np.ndarray, velocity: np.ndarray, spin: np.ndarray
    ) -> None:
        mode = self.things[i].mode
        if mode == "free":
            q, v = self._q[i], self._v[i]
            self.data.qpos[q : q + 3], self.data.qpos[q + 3 : q + 7] = place, quat
            self.data.qvel[v : v + 3], self.data.qvel[v + 3 : v + 6] = velocity, spin
        elif mode != "hinge":
            slot = self._slot[i]
            self.data.mocap_pos[slot], self.data.mocap_quat[slot] = place, quat

    def lift(self, i: int) -> None:
        """Turns gravity off for a free thing."""
        body = self._bodies[i]
        self.data.xfrc_applied[body, :3] = -self.model.body_mass[body] * self.model.opt.gravity

    def release(self, i: int) -> None:
        """Turns a thing's contacts off."""
        mine = self.model.geom_bodyid == self._bodies[i]
        self.model.geom_contype[mine] = self.model.geom_conaffinity[mine] = 0

    def _drive(self, now: float) -> None:
        """Moves the driven to where they are to be at ``now``, lets go whose time has come."""
        for drive in self.drives:
            if drive.done or now < drive.start - 1e-9:
                continue
            i = drive.thing
            if i in self.removed:
                drive.done = True
            elif now < drive.end - 1e-9 and drive.motion is not None:
                place, quat, velocity, phase, stride = drive.motion(now)
                self._put(i, place, quat, velocity, np.zeros(3))
                self._gait[i], self._driven_velocity[i] = (phase, stride), velocity
            elif now >= drive.end - 1e-9:
                drive.done = True
                if drive.motion is not None:
                    place, quat, velocity, phase, stride = drive.motion(drive.end)
                    self._put(i, place, quat, velocity * 0, np.zeros(3))
                    self._gait[i], self._driven_velocity[i] = (
                        (phase, 0.0 if self.things[i].mode == "alive" else stride),
                        velocity * 0,
                    )
                if drive.leave:
                    self.removed.add(i)
                self._kick(drive)

    def _kick(self, drive: Drive) -> None:
        i = drive.thing
        if i not in self._v:
            return
        v = self._v[i]
        if self.things[i].mode == "hinge":
            if drive.spin is not None:
                self.data.qvel[v] = drive.spin[1]
            return
        if drive.aim is not None:
            aimed = drive.aim(self.data.qpos[self._q[i] : self._q[i] + 3].copy())
            if aimed is None:
                return
            self.data.qvel[v : v + 3] = aimed
        if drive.velocity is not None:
            self.data.qvel[v : v + 3] = drive.velocity
        if drive.spin is not None:
            self.data.qvel[v + 3 : v + 6] = drive.spin

    def _park(self, now: float) -> None:
        for i in self._present:
            if (now < self.since[i] - 1e-9 or i in self.removed) and self.things[i].mode != "hinge":
                self._put(i, _PARKED + np.array([0.0, 4.0 * i, 0.0]), heading(0.0), np.zeros(3), np.zeros(3))

    def _touching(self) -> frozenset:
        geoms = self.data.contact.geom
        key = geoms.tobytes()
        found = self._pairs.get(key)
        if found is None:
            pairs = set()
            for a, b in geoms:
                one, two = self._owner[a], self._owner[b]
                if one != two:
                    pairs.add((max(one, two), min(one, two)))
            found = self._pairs[key] = frozenset(pairs)
        return found

    def run(
        self, first: int, count: int, remove: Callable[[int, int, np.ndarray, np.ndarray], bool] | None = None
    ) -> Record:
        """Record of ``count`` frames, of which the first is frame number ``first`` of the clip.

        The states given are those of frame first - 1, or, if first is 0, of frame 0 itself.
        remove(thing, frame in this span, position, velocity) says that a thing has left the world.
        """
        record = Record.empty(self.things, self.fps, count)
        data, model, step = self.data, self.model, self._mujoco.mj_step
        tick = 1 / self.fps / self.steps
        late = [i for i in self._present if self.since[i] > first / self.fps]
        for k in range(count):
            frame = first + k
            touched: set[tuple[int, int]] = set()
            if frame == 0:
                self._drive(0.0)
                self._mujoco.mj_forward(model, data)
                touched |= self._touching()
            else:
                for part in range(self.steps):
                    now = (frame - 1) / self.fps + (part + 1) * tick
                    self._drive(now)
                    step(model, data)
                    if data.ncon:
                        touched |= self._touching()
            now = frame / self.fps
            if late or self.removed:
                self._park(now)
            self._mujoco.mj_kinematics(model, data)
            self._take(record, k, now, touched)
            if remove is not None:
                for i in self._present:
                    if (
                        i not in self.removed
                        and record.exists[k, i]
                        and remove(i, k, record.position[k, i], record.velocity[k, i])
                    ):
                        self.removed.add(i)
                        record.exists[k, i] = False
        return record

    def _asleep(self, i: int) -> bool:
        """Whether MuJoCo has put a thing to sleep: it lies still, and its contacts are not computed."""
        return i in self._v and self.data.body_awake[self._bodies[i]] == 0

    def _take(self, record: Record, k: int, now: float, touched: set[tuple[int, int]]) -> None:
        data = self.data
        for a, b in record.contacts[k - 1] if k else ():
            if self._asleep(a) and (b < 0 or b not in self._v or self._asleep(b)):
                touched.add((a, b))  # still lies where it lay
        for i in self._present:
            if i in self.removed or now < self.since[i] - 1e-9:
                continue
            thing, body = self.things[i], self._bodies[i]
            record.exists[k, i] = True
            record.position[k, i], record.quat[k, i] = data.xpos[body], data.xquat[body]
            if thing.mode == "free":
                v = self._v[i]
                record.velocity[k, i], record.spin[k, i] = data.qvel[v : v + 3], data.qvel[v + 3 : v + 6]
            elif thing.mode == "hinge":
                rate = data.qvel[self._v[i]]
                axis = data.xmat[body].reshape(3, 3)
                record.velocity[k, i] = np.cross(axis[:, 1] * rate, -thing.body.pivot * axis[:, 2])
                record.spin[k, i, 1] = rate
            else:
                record.velocity[k, i] = self._driven_velocity[i]
            if thing.mode == "alive":
                record.phase[k, i], record.stride[k, i] = self._gait[i]
        record.contacts[k] = {
            p for p in touched if record.exists[k, p[0]] and (p[1] < 0 or record.exists[k, p[1]])
        }
