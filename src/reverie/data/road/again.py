"""A clip's traffic once more, by SUMO itself: the same past, and from the present on other chances.

SUMO knows what no forecaster can: where everybody is going, and how fast each likes to go. Our car drives as it did. Of
people who stand on a corner SUMO's snapshots do not keep whom they were waiting for.
Legend: K futures, T frames, N agents.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from reverie.core.errors import BadData
from reverie.data.road.driver import Car
from reverie.data.road.trace import Trace
from reverie.data.road.traffic import Run, started

SNAPSHOTS = "--save-state.transportables", "--save-state.precision", "6"  # people too; centimetres let them drift
SAME = 0.01  # metres between an agent and itself


def again(trace: Trace, seed: int, begins: int, frames: int, count: int) -> np.ndarray:
    """Where all are (K, T, N, 2), in metres, in so many other futures of a trace that ``traffic`` made of this seed,
    in the frames after ``begins``, which is even; of who has gone, where he was last, and NaN of who was not there at
    the present, as of our car. Raises BadData for a trace that is not that seed's, ReverieError without SUMO."""
    with started(seed, trace.fps, more=SNAPSHOTS) as parts, tempfile.TemporaryDirectory() as folder:
        run, state = _Again(*parts), str(Path(folder) / "now.xml")
        run.settled(trace.frames / trace.fps)
        for t in range(2, begins + 1, 2):
            run.on(trace, t)
        who = run.who(trace, begins)
        run.sumo.simulation.saveState(state)
        out = np.full((count, frames + 1, len(trace.kinds), 2), np.nan)
        out[:, 0, list(who)] = trace.place[begins, list(who)]
        for future in out:
            run.sumo.simulation.loadState(state)  # which leaves the random numbers where they are
            for t in range(2, frames + 2, 2):
                row = run.on(trace, min(begins + t, trace.frames - 1))
                after = future[t - 2].copy()
                for n, number in who.items():
                    after[n] = row[number][0] if number in row else after[n]
                future[t - 1 : t + 1] = np.stack([(future[t - 2] + after) / 2, after])[: frames + 2 - t]
    return out[:, 1:]


class _Again(Run):
    """A simulation in which our car goes as it does in a trace."""

    def on(self, trace: Trace, t: int) -> dict:
        """Two frames on, to frame t; where everybody else is then."""
        ego = trace.ego
        self._place(Car(trace.place[t, ego].astype(float), float(trace.heading[t, ego]), float(trace.speed[t, ego])))
        self.sumo.simulationStep()
        return self._others()

    def who(self, trace: Trace, t: int) -> dict[int, int]:
        """The number here of each of the trace's agents that is there now."""
        row, found = self._others(), {}
        places = np.array([state[0] for state in row.values()]).reshape(-1, 2)
        for n in np.flatnonzero(trace.exists[t] & (np.arange(len(trace.kinds)) != trace.ego)):
            far = np.hypot(*(places - trace.place[t, n]).T)
            if not len(far) or far.min() > SAME:
                raise BadData(f"a {trace.kinds[n]} of this trace is nowhere in the traffic of that seed")
            found[int(n)] = list(row)[int(far.argmin())]
        return found
