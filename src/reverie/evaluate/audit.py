"""Suites ``audit``, ``audit_tokenizer`` and ``audit_h264``: is the judge right?

On truth that nobody tuned it on it should find nothing, and on planted violations the very crime, thing and moment;
in pictures as they are, after the round trip through the model's latents, and after H.264 at a low quality.
"""

from __future__ import annotations

from collections import Counter

from reverie.audit.laws import RULES
from reverie.data.scenes.crimes import CRIMES
from reverie.evaluate.figures import figure, share
from reverie.evaluate.study import Study
from reverie.evaluate.watch import Watched, accused, alarms, watched

SEED = 2036  # of these clips: the laws were mended on what they said of 2026's to 2035's
LONG, SHORT, PLANTED = 60.0, 10.0, 4.0  # seconds of a clip
A_CRIME = 2 / 3  # planted clips of a crime for each minute of truth: 40 for 60
IN_TIME = 0.25  # seconds
FALSE = {"plain": "<= 0.1", "tokenizer": "<= 0.2", "h264": "<= 0.2"}
FOUND = {"plain": ">= 0.95", "tokenizer": ">= 0.9", "h264": ">= 0.9"}


def measure(study: Study) -> list[dict]:
    """Of pictures as they are: see ``measured``."""
    return measured(study, "plain")


def measure_tokenizer(study: Study) -> list[dict]:
    """Of pictures that went through the model's tokenizer."""
    return measured(study, "tokenizer")


def measure_h264(study: Study) -> list[dict]:
    """Of pictures that went through H.264 at crf 32."""
    return measured(study, "h264")


def measured(study: Study, condition: str) -> list[dict]:
    """False alarms a minute over n minutes of truth, half of it in clips of 60 s, together and for each law; what the
    lab's unseen hand did and was seen doing, beside; and for each crime the share of planted ones that are found:
    the right law, thing and moment."""
    figures = _truth(study, condition)
    return figures + _crimes(study, condition)


def _truth(study: Study, condition: str) -> list[dict]:
    sets = [study.clips(max(1, study.n // 2), LONG, drawn=True, seed=SEED),
            study.clips(max(1, round(study.n / 2 * 60 / SHORT)), SHORT, drawn=True, seed=SEED)]
    minutes, false, hands, each = 0.0, Counter(), Counter(), []
    with study.track(sum(map(len, sets)), f"true clips judged ({condition})") as bar:
        for clips in sets:
            wrong = 0
            length = 0.0
            for seen in watched(clips, range(len(clips)), condition, study.model, study.observer):
                bad, by_hand = alarms(seen)
                false.update(v.law for v in bad)
                hands.update(v.law for v in by_hand)
                for v in bad:
                    bar.say(f"false: clip {seen.index} of {clips.folder.name} at {v.start:.2f} s: {v.law}, {v.text}")
                wrong += len(bad)
                length += seen.verdict.seconds / 60
                bar.advance()
            minutes += length
            each.append((wrong, length))
    cases = round(minutes)
    out = [figure("false_alarms_a_minute", share(sum(false.values()), minutes), "1/min", FALSE[condition], cases)]
    for (wrong, length), name in zip(each, ("60_s_clips", "10_s_clips"), strict=True):
        out.append(figure(f"false_alarms_a_minute_{name}", share(wrong, length), "1/min", None, round(length)))
    out += [figure(f"false_{law}", share(false[law], minutes), "1/min", None, cases) for law in RULES]
    out.append(figure("unseen_hand_found_a_minute", share(sum(hands.values()), minutes), "1/min", None, cases))
    return out


def _crimes(study: Study, condition: str) -> list[dict]:
    count = max(1, round(study.n * A_CRIME)) * len(CRIMES)
    clips = study.clips(count, PLANTED, drawn=True, planted=tuple(CRIMES), seed=SEED)
    found, asked, late = Counter(), Counter(), []
    with study.track(len(clips), f"crimes judged ({condition})") as bar:
        for seen in watched(clips, range(len(clips)), condition, study.model, study.observer):
            crime = seen.provenance["crime"]
            hit = solved(seen, crime)
            asked[crime["kind"]] += 1
            found[crime["kind"]] += hit is not None
            if hit is None:
                said = "; ".join(f"{v.law} at {v.start:.2f} s" for v in seen.verdict.violations) or "nothing"
                bar.say(f"missed: clip {seen.index}: {crime['kind']} at {crime['time']:.2f} s; found {said}")
            else:
                late.append(abs(hit))
            bar.advance()
    out = [figure("recall", share(sum(found.values()), sum(asked.values())), "share", FOUND[condition],
                  sum(asked.values()))]
    out += [figure(f"recall_{name}", share(found[name], asked[name]), "share", FOUND[condition], asked[name])
            for name in CRIMES]
    out.append(figure("time_error", share(sum(late), len(late)), "s", f"<= {IN_TIME:g}", len(late)))
    return out


def solved(seen: Watched, crime: dict) -> float | None:
    """By how many seconds the judge is late with a crime; None where it does not find law, thing and moment."""
    for v in seen.verdict.violations:
        if v.law == crime["law"] and accused(seen, v) & {crime["thing"], crime["other"]} - {-1}:
            late = v.start - crime["time"]
            if abs(late) <= IN_TIME:
                return late
    return None
