"""From a video to a verdict: files around audit.judge, as the command line asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reverie.core.errors import BadInput
from reverie.core.files import check_input, check_output
from reverie.core.moves import parse_moves
from reverie.core.script import clean_text

if TYPE_CHECKING:
    from reverie.audit.findings import Verdict


@dataclass
class Audited:
    """What ``audit_video`` made: the verdict, and the files that were written, or None."""

    verdict: Verdict
    report: str | None = None
    overlay: str | None = None

    def as_dict(self) -> dict:
        """JSON-ready: the verdict as audit.report.verdict_json has it, and the files."""
        from reverie.audit.report import verdict_json

        return {**verdict_json(self.verdict), "report": self.report, "overlay": self.overlay}

    def as_text(self) -> str:
        """Plain lines: the whole verdict, or where a report holds it its sentence; then the files."""
        from reverie.audit.report import sentence, verdict_text

        lines = [f"{self.report}: {sentence(self.verdict)}" if self.report else verdict_text(self.verdict)]
        return "\n".join(lines + ([f"{self.overlay}: the video with all that drawn in"] if self.overlay else []))


def audit_video(video: str | Path, *, prompt: str | None = None, camera: str | None = None,
                report: str | Path | None = None, overlay: str | Path | None = None, quiet: bool = True) -> Audited:
    """Judge the physics of a video file, and write what is asked for.

    prompt: what the video should show; camera: the moves it was asked for, as in "orbit left 30". report: a page
    (.html); overlay: the video with the findings drawn in (.mp4). quiet: no progress bar. What can be refused is
    refused before the work. Raises BadInput, BadMedia, BadWeights, CannotWrite.
    """
    if prompt is not None:
        prompt = clean_text(prompt)
    if camera is not None:
        parse_moves(camera)
    if report is not None:
        report = check_output(report, ".html")
    if overlay is not None:
        overlay = check_output(overlay, ".mp4")
    check_input(video)
    if overlay is not None and overlay.exists() and overlay.samefile(video):
        raise BadInput(f"the output {overlay} is the video itself: give it another name")
    from reverie.audit.judge import audit
    from reverie.core.runtime import set_threads

    set_threads()
    made = Audited(audit(video, prompt=prompt, camera=camera, progress=not quiet))
    if report is not None:
        from reverie.audit.report import write_report

        made.report = str(write_report(made.verdict, video, report, quiet=quiet))
    if overlay is not None:
        from reverie.audit.overlay import write_overlay

        made.overlay = str(write_overlay(made.verdict, video, overlay, quiet=quiet))
    return made
