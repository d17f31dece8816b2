"""What a marked text says of the camera, in English and Chinese."""

from __future__ import annotations

import re

from reverie.audit.wording import MARK, Marked, Reader, Wanted

# kind of move, its direction, degrees or metres (0 where none are given), what it follows, the words
Asked = tuple[str, str, float, tuple[Wanted, ...], str]

_EN = re.compile(
    r"\b(?:the |a )?(?:camera|viewpoint|view|shot|picture|gaze)(?: is| has been)?(?: [a-z]+ly)? (?P<said>(?:(?:being"
    r"|set) )?"
    r"(?:pan|turn|look|swivel|rotat|make|tilt|angl|go|orbit|circl|mov|travel|arc|fl(?:ies|y)|doll|driv|glid|creep"
    r"|crane|float|slid|drift|follow|keep|track|stay|still|does|stand|kept|rest|fixed|hold|zoom|push|pull|ris|descend"
    r"|truck"
    r"|static|boom|sweep|revolv)[^.,;:]*?)"
    r"(?=[.,;:]|$| (?:while|as|and|meanwhile|just|when) |[.,;:])")
CAMERA_ZH = "镜头|摄像机|视角|相机|机位|画面"  # what a camera, or what it sees, is called
_ZH = re.compile(r"(?:固定镜头|(?:镜头|摄像机|相机|画面|视角|机身|机位)(?!后面|前|里|中)(?P<said>[^.,;:和]*?(?:摇动?"
    r"|转动?|倾斜?|看|仰俯|环绕|绕行|绕圈|"
                 r"移动?|推移|走|行进|升降|飘|运动|跟[着随][^.,;:]*|追着[^.,;:]*|对着[^.,;:]*|跟随[^.,;:]*|不动|静止"
                 r"|不变|升|降|推|拉|推近|拉远|拉近)"
                 r"(?:#?[\d.]+ ?[度米])?(?=[.,;:和]|$)))")
_ASIDE = {"left": "left", "right": "right", "左": "left", "右": "right"}
_ALONG = (("in", r"\b(?:in|forwards?|closer|inwards?|nearer)\b|[前内近]"), ("out", r"\b(?:out|back|backwards?|away)\b"
    r"|[后外远]"))
_UP = (("up", r"\b(?:up|upwards?|higher)\b|ris|[上升高](?!降)"), ("down", r"\b(?:down|downwards?|lower)\b|descend"
    r"|[下低]|降(?<!升降)"))


def camera_asked(marked: Marked, reader: Reader) -> tuple[str, list[Asked]]:
    """The text without what it says of the camera, and the moves that it asks for."""
    moves: list[Asked] = []
    text = marked.text
    if marked.language == "en":  # sides of the camera are places and directions, no moves
        text = re.sub(r"\b(?:towards?|away from|close to|near|from behind|behind|facing|in front of|before) (?:the"
            r"|our) "
                      r"(?:camera|viewer)\b", lambda m: m[0].replace("camera", "viewer").replace("our", "the"), text)

    def read(found: re.Match) -> str:
        said = found["said"] or found[0]
        moves.extend(_moves("tilts" + said[4:] if "gaze" in found[0] else said, reader))
        return " " if marked.language == "en" else ""

    return (_EN if marked.language == "en" else _ZH).sub(read, text), moves


def _moves(said: str, reader: Reader) -> list[Asked]:
    amount = re.search(r"#?([\d.]+)(?:degree|met|[度米])", said)
    much = float(amount[1]) if amount and amount[1].strip(".") else 0.0
    words = "camera " + re.sub(MARK, lambda m: " and ".join(t.name for t in reader.of(m[0]).things), said).strip()
    side = next((name for word, name in _ASIDE.items() if word in said), "")
    along = next((name for name, pattern in _ALONG if re.search(pattern, said)), "")
    up = next((name for name, pattern in _UP if re.search(pattern, said)), "")
    if re.search(r"follow|in view|track|stays on|goes along|跟|追着|对着", said):
        marks = re.findall(MARK, said)
        return [("follow", "", 0.0, reader.of(marks[-1]).things if marks else (), words)]
    if re.search(
        r"does not|still|stands|stays|kept|rests|fixed|holds|static|keeps|unchanged|不动|静止|不变|固定", said):
        return [("still", "", 0.0, (), words)]
    if re.search(r"orbit|circl|around|\barc|revolv|绕|围着", said):
        return [("orbit", side, much, (), words)]
    turns = re.search(r"\b(?:pan|turn|look|swivel|rotat|angl|tilt|gaze|inclin)|摇|转|看|倾|仰俯", said)
    if turns or (up and re.match(r"goes (?:up|down)", said) and "gaze" in said):
        tilts = up and not side or "tilt" in said
        return [("tilt", up, much, (), words) if tilts else ("pan", side, much, (), words)]
    if re.search(r"crane|boom|升降", said) or (up and not along) or (up and re.search("飘|运动|移", said)):
        return [("crane", up, much, (), words)]
    if along or re.search(r"zoom|doll|推|拉", said):
        return [("dolly", along or ("out" if "拉" in said else "in" if "推" in said else ""), much, (), words)]
    return [("truck" if side else "moves", side, much, (), words)]
