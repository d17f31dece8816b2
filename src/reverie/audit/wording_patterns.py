"""Patterns by which audit.asking reads a marked text: where things are, which way they go, what happens, in what order.

Each is (regular expression, what it means). "<a>" and "<o>" stand for marks of things, see audit.wording.
"""

from __future__ import annotations

from reverie.audit.wording import MARK

M = MARK
RELATIONS = {
    "en": [
        (rf"(?:\bright )?(?:\b(?:to|on|at) )?(?:\bthe )?(?:immediate )?\b(left|right)(?:-hand)?(?: side)? of (?={M})",
         r"{rel \1} "),
        (rf"\b(?:just |right )?(?:in front of|ahead of) (?={M})|\bbefore (?={M}\s*(?:$|[.,;:]))", "in front of "),
        (rf"\b(?:right |just )?in back of (?={M})", "behind "),
        (rf"\b(?:upon|on top of|atop) (?={M})", "on "),
        (rf"\b(?:right )?(?:next to|beside|alongside|close to) (?={M})", "{rel beside} "),
    ],
    "zh": [
        (rf"在({M})的?(?:左边|左侧|左面|左方|左)", r"{rel left}\1"),
        (rf"在({M})的?(?:右边|右侧|右面|右方|右)", r"{rel right}\1"),
    ],
}
DIRECTIONS = {
    "en": [
        (r"\bfrom (?:the )?(left|right)(?:-hand)?(?: side)?\b", r"{from \1}"),
        (r"\bfrom (?:the front|behind the viewer)\b", "{from front}"),
        (r"\bfrom (?:the back|the far side)\b", "{from back}"),
        (r"\b(?:on|at|in) the (?:far )?(left|right)(?:-hand)?(?: side)?(?: of the (?:picture|frame|image|scene|shot"
         r"|view))?\b",
         r"{spot \1}"),
        (r"\b(?:on|at|in) the (?:very )?(?:middle|cent(?:re|er))(?: of the (?:picture|frame|image|scene|shot|view))?\b",
         "{spot middle}"),
        (r"\b(?:on|at|in) the (?:back|background|distance)\b|\bfar away\b", "{spot back}"),
        (r"\b(?:on|at|in) the (?:front|foreground)\b|\bclose to the viewer\b", "{spot front}"),
        (r"\b(?:to|towards?) the (left|right)(?:-hand)?(?: side)?\b|\b(left|right)wards?\b", r"{to \1\2}"),
        (r"\b(?:towards? (?:the viewer|us)|to the front)\b", "{to front}"),
        (r"\b(?:away from (?:the viewer|us)|to the back|into the distance)\b", "{to back}"),
        (r"\bright (?=(?:behind|in front|on|at|in)\b|\{(?:rel|spot))", ""),
        (r"(?<![{] )(?<!rel )(?<!to )(?<!from )(?<!spot )\b(left|right)\b(?!\})", r"{to \1}"),
        (r"(?<=[a-z]) forwards?\b(?! and)", " {to front}"),
    ],
    "zh": [
        ("左右(?=摆|摇)", ""), ("左摇右摆", "摆动"),
        (r"从左(?:边|侧|面|方)?", "{from left}"), (r"从右(?:边|侧|面|方)?", "{from right}"),
        (r"从(?:前面|镜头后面|前方)", "{from front}"), (r"从(?:后面|远处|后方)", "{from back}"),
        (r"[向往朝]左(?:边|侧|方)?", "{to left}"), (r"[向往朝]右(?:边|侧|方)?", "{to right}"),
        (r"[向往]前|朝镜头|朝我们", "{to front}"), (r"[向往]后|[往朝]远处", "{to back}"),
        (r"(?:(?<=[,.;])|^)左(?:边|侧)(?=有|是)", "{spot left}"), (
            r"(?:(?<=[,.;])|^)右(?:边|侧)(?=有|是)", "{spot right}"),
        (r"在(?:画面的?)?左(?:边|侧)", "{spot left}"), (r"在(?:画面的?)?右(?:边|侧)", "{spot right}"),
        (r"在(?:画面)?(?:的)?(?:正?中间|中央)", "{spot middle}"), (r"在(?:远处|后面)", "{spot back}"),
        (r"在(?:近处|前面|镜头前)", "{spot front}"),
    ],
}
CONNECTORS = {
    "en": [
        (r"\bafter (?:that|which)\b|\b(?:and )?then\b|\bafterwards?\b|\bnext\b(?=,| )(?! to)|\b(?:a (?:moment"
         r"|little) )?later\b"
         r"|\bfinally\b|\bsubsequently\b|\bfollowed by\b", "{then}"),
        (r"\bonce\b(?! again)|\bas soon as\b", "{once}"), (r"\bbefore\b", "{before}"),
        (rf"\bafter\b(?= (?:the |a )?{M} (?:is |are |has |have )?[a-z])", "{after}"),
        (r"\bwhile\b|\bmeanwhile\b|\bat the same (?:time|moment)\b|\bjust as\b|\bduring which\b|\btogether with that\b"
         r"|\bwhen\b|\bas\b", "{while}"),
    ],
    "zh": [
        ("在?([^.,;]*)之前,", r"{before}\1,"), ("之?前先", "{before}"),
        ("然后|接着|之后|随后|再后来|过了?一会儿|接下来|随即|以后|后来|再接着|最后|紧接着", "{then}"),
        ("与此同时|的?同时|的时候|这时|同一时间|一边", "{while}"), (r"时(?=,)", "{while}"),
    ],
}
# Before a mark: it is no one who acts.
GOVERNED = {
    "en": r"\b(?:by|into|onto|on|of|at|towards?|off|down|against|from|between|past|near|next to|with|beside|behind"
        r"|over|under"
          r"|through|to|up|around|along|across|like)\s*(?:the )?$|\{rel \w+\}\s*$|\{before\}\s*$",
    "zh": r"(?:被|朝|(?<![摆停站看])着|从|在|(?<!看)到|把|对|沿|与|跟|用|\{rel \w+\})$",
}
# After what was read: the other thing.
OTHERS = {
    "en": rf"(?:\s|\u00b7|[a-z]+ly\b|\{{(?:to|from) \w+\}})*(?:by|onto|into|on|off|down|at|towards|against|because of"
        rf"|after a"
          rf" hit by|from|between|past|through) ({M})",
    "zh": rf"(?:在|到|进|进了|着)?({M})(?:上面?|的)?",
}


def _ready(rules: list[tuple[str, str]], language: str) -> list[tuple[str, str]]:
    out = []
    for event, pattern in rules:
        pattern = pattern.replace("<d>", r"(?: ?\{to \w+\})?").replace("<way>", r"(?:\{to \w+\}\s?)?")
        for role in ("a", "o"):  # each its own group: alternatives may both speak of it
            pieces = pattern.split(f"<{role}>")
            pattern = pieces[0] + "".join(f"(?P<{role}{n}>{M}){piece}" for n, piece in enumerate(pieces[1:]))
        out.append((rf"(?:{pattern})" if language == "zh" else rf"(?<![\w-])(?:{pattern})(?![\w-])", event))
    return out


_GO = (r"(?:pass(?:es|ing|ed)?|go(?:es|ing)?|went|mov(?:es?|ing|ed)|slip(?:s|ping|ped)?|hid(?:es?|ing)|disappear(?:s"
    r"|ing|ed)?"
       r"|vanish(?:es|ing|ed)?|cross(?:es|ing|ed)?|travel(?:s|ling|led)?|run(?:s|ning)?|walk(?:s|ing|ed)?|roll(?:s"
       r"|ing|ed)?"
       r"|slid(?:es?|ing)|fl(?:y|ies|ying)|duck(?:s|ing|ed)?|step(?:s|ping|ped)?|wander(?:s|ing|ed)?)")
_AGAIN = (r"(?: and (?:then )?(?:comes? (?:back )?(?:out|into view)(?: again| {to \w+})*|reappears?|out(?: again)?"
    r"|comes? back"
          r"|shows? up again|shown again)( out)?)?")
_OFTEN = r"(?:again and again|over and over|repeatedly)"
_THROWN = r"(?:thrown|tossed|hurled|flung|lobbed|cast|pitched|throwing|chucked)"
_EN = [
    ("rests", r"(?:stays?|remains?|lies|lie|lying|stands?|sits?|keeps?|standing|sitting) (?:perfectly "
        r"|completely )?(?:still"
              r"|quietly|motionless|at-rest)|(?:does|do) not move|motionless|at-rest|(?<!to )rests?|resting"
              r"|waits? without moving"
              r"|just stays? there|without moving"),
    # behind and under
    ("covered", r"<o> (?:comes? down|lowers?|drops?|closes?|falls?|descends?"
        r"|is lowered) in front of <a>(?: and (?:goes? up|opens?"
                r"|rises?)(?: again)?)?"),
    ("covered", r"<o> slides? down (?:in front of|{before}) <a>(?: and rises?)?"),
    ("covered", r"<o> (?:covers?|covering|conceals?|concealing)(?: up)? <a>(?: and (?:rises?|lifts?)(?: again)?)?"),
    ("hidden", r"<o> (?:hides?|hiding|obscures?) <a>(?: and (?:rises?|lifts?)(?: again)?| for a moment)?"),
    ("covered", r"(?:is |are |gets? |being )*(?:covered|concealed)(?: up)?(?: and shown again)?(?: for a (?:while"
        r"|moment))?(?: by <o>)?"),
    ("covered", r"(?:is |are )?out of view {then} uncovered|out of view and (?:{then} )?uncovered"),
    ("hidden", r"(?:is |are |gets? |being )*hidden(?: and shows? up again| for a (?:while|moment))?(?: (?:by"
        r"|behind) <o>)?"
               r"(?: for a (?:while|moment))?"),
    ("hidden", rf"{_GO}<d>(?: slowly| quickly| straight)? behind <o>(?: for a moment)?{_AGAIN}"),
    ("hidden", r"(?:pass(?:es)?|goes?|go) out of sight(?: and comes? back)?"),
    ("hidden", r"(?:disappears?|vanish(?:es)?) (?:and comes? back into view|from (?:view|sight)(?: for a (?:while"
        r"|moment))?)"),
    # the hoop
    ("missed", rf"(?:is |are )?(?:{_THROWN}|shot) (?:at <o> )?(?:and|but) miss(?:es)?"),
    ("missed", r"hits? <o> and bounces? off|miss(?:es|ing|ed)? <o>|miss(?:es|ing|ed)? the target|(?:just )?miss(?:es"
        r"|ing|ed)?"
               r"|fails? to go (?:in|through <p>)|(?:does|do) not go in|is a miss|are a miss|a miss".replace("<p>", M)),
    ("missed", r"(?:bounc(?:es?|ing)|com(?:es?|ing)|glanc(?:es?|ing)) off (?:of )?<o>|(?:fl(?:ies|y|ying)|goes?"
        r"|falls?) (?:past|wide of|short of) <o>"),
    ("scored", rf"(?:go(?:es|ing)?|fall(?:s|ing)?|(?:is |are |being )?{_THROWN}|drop(?:s|ping)?|(?:is |are "
        rf"|being )?shot|lands?|swish(?:es)?|fl(?:ies|y)"
               rf"|pass(?:es)?|finds? its way|ends? up|sinks?|flying) (?:cleanly |right )?(?:through|into|in) <o>"),
    ("scored", r"scor(?:es?|ing)|goes? in(?=\s*[.,;:{]|\s*$)"),
    # over and up
    ("toppled", r"(?:knock|push|tip)(?:s|es|ing) (?:over|down) <a>|(?:knock|push|tip)(?:s|es|ing) <a> (?:over|down)"),
    ("toppled", r"(?:is |are |being )?(?:knocked|tipped|pushed) over|(?:falls?|falling|tips?|tipping|goes?|keels?"
        r"|keeling) over(?! and over)"
                r"|toppl(?:es?|ing|ed)(?: over)?|collaps(?:es?|ing|ed)|comes? tumbling down|(?:is |are )?overturned"
                r"|(?:is |are )?brought down"
                r"|falls? flat|over goe?s? <a>"),
    ("launched", rf"(?:is |are |being |keeps? |gets? )*(?:launched|jump(?:s|ing)?|hop(?:s|ping)?|thrown|shoots?|shot"
        rf"|leap(?:s|ing)?|fired|kicked|tossed"
                 rf"|springs?|flies|fly|flung)(?: up| upwards| into the air)?(?: into the air)? {_OFTEN}"),
    ("launched", r"up goe?s? <a>(?: again and again)?|(?:is |are |being )?launched(?: upwards| up| into the air)?"
        r"|(?:jump|leap)(?:s|ing)? (?:up|into the air)"
                 r"|(?:jump|leap)(?:s|ing)?(?! up| into| and)|(?:is |are )?(?:shot|fired|kicked) (?:up|upwards"
                 r"|into the air)|keeps? (?:jumping|flying up)"),
    ("bounced", r"(?:(?:leap|hop)s? and |keeps? |goe?s? |is |are )*bounc(?:es?|ing|ed)(?: (?:back and forth"
        r"|to and fro|around|off|up and down|again and again|along))?"
                r"|rebound(?:s|ing)?|ricochet(?:s|ing)?|springs? back|(?:hop|spring)s? up and down"),
    ("swung", r"(?:is |are )?(?:let go and |released and |set |keeps? |goe?s? |starts? to |starts? )*(?:swing(?:s"
        r"|ing)?|sway(?:s|ing)?|oscillat(?:es?|ing))"
              r"(?: (?:back and forth|to and fro|through the air))*|rocks? (?:back and forth|to and fro)"),
    ("stacked", r"(?:is |are |being |carefully |gently )*(?:stacked|put|placed|set down|piled|lowered|laid|heaped up"
        r"|built up)(?: down| up)?(?: gently)?"
                r"(?: (?:on|onto) <o>)?|lands? gently(?: on <o>)?|comes? (?:down gently|to rest)(?: on <o>)?"
                r"|settles?(?: on <o>)?|(?:lands?|landing) on <o>"),
    ("dropped", r"(?:is |are )?(?:let go|released) and (?:falls?|drops?)|in free fall|down comes? <a>|(?:is |are "
        r"|being )?dropped|drop(?:s|ping)?|plummet(?:s|ing)?"
                r"|plung(?:es?|ing)|(?:is |are )?fall(?:s|ing)?|fell|tumbl(?:es?|ing) down|crash(?:es|ing)? down"
                r"|comes? down"),
    # along
    ("pushed", r"<o> (?:push|shov|nudg|knock|bump|kick)(?:es|s|ing|ed)?(?: into| against)? <a>"
        r"|a push moves <a>|(?:push|shov|nudg|kick)(?:es|s|ing) <a>"),
    ("pushed", r"(?:is |are |being |gets? |given |receives? |takes? |getting |after )*(?:a )?(?:push(?:ed)?|shov(?:e"
        r"|ed)|nudged|knocked|bumped|kicked)"
               r"(?: along| away| across the floor)?<d>(?: by <o>)?"),
    ("rolled", r"(?:mov(?:es?|ing) <way>by )?roll(?:s|ing|ed)?|trundl(?:es?|ing)"),
    ("slid", r"(?:mov(?:es?|ing) <way>by )?(?:slid(?:es?|ing)?|glid(?:es?|ing)|slip(?:s|ping)|slither(?:s|ing)?"
        r"|skid(?:s|ding)?)"),
    ("enters", r"enter(?:s|ing|ed)?|com(?:es?|ing) (?:in|into (?:view|the (?:picture|frame|scene))|along)|appear(?:s"
        r"|ing)?|arriv(?:es?|ing)|moves? into view"
               r"|shows? up|makes? an entrance|gets? into the picture|\{from \w+\} comes? <a>|comes? (?=\{from)"),
    ("leaves", r"(?:is |are )?leav(?:es?|ing)|exit(?:s|ing)?|departs?|go(?:es|ing)? (?:out|away|off)"
        r"|moves? (?:out of view|off)|disappears? from the picture"
        r"|heads? off|gets? out of the picture|(?:walk|flie|fly|drive|run)s? (?:away|out)"
        r"|(?:(?:walk|flie|fly)s? )?out of (?:the )?(?:picture|view|frame|shot)"),
    ("thrown", r"(?:throw|toss|hurl|fling|lob)(?:s|es) <a>"),
    ("thrown", rf"(?:is |are |being )?{_THROWN}|fl(?:y|ies|ying|ew)|shoots? through the air|sail(?:s|ing)?"),
    ("walks", r"walk(?:s|ing|ed)?|stroll(?:s|ing|ed)?|wander(?:s|ing|ed)?|step(?:s|ping)?|march(?:es|ing)?"
        r"|saunter(?:s|ing)?|trot(?:s|ting)?|run(?:s|ning)?"
              r"|jog(?:s|ging)?|for a walk|on a walk|taking a walk"),
]
_W = r"(?:\{to \w+\})?"
_ZH = [
    ("missed", r"没(?:有)?(?:投?进|投中|命中|落进)(?:<o>)?|投偏了?|从<o>旁边飞过|碰到<o>弹开|打在<o>上弹出来"
        r"|错过了?<o>|偏离了?<o>|擦过<o>|投失了?|投丢了?|没进"),
    ("scored", r"把<a>(?:扔|投|抛)进<o>"),
    ("scored", r"(?:穿过|落进|掉进|飞进|投进|命中|投中|进了)<o>|从<o>中穿过|得分了?|进球|投进了|进了(?=[.,;]|$)"
        r"|投中了?"),
    ("covered", r"<o>在<a>前面落下|<o>遮住了?<a>(?:又升起|\{then\}升起)?|<o>(?:降下来|落下|放下来)(?:挡住"
        r"|遮住)了?<a>(?:\{then\}升起)?|<o>把<a>遮住"),
    ("covered", r"<a>被<o>(?:遮住|盖住|挡住)(?:了一会儿)?(?:又?露出来)?(?=[.,;]|$)|被?(?:遮住|盖住)(?:了?一会儿"
        r"|又露出来)?|被挡住后又露出来|暂时被遮住"),
    ("hidden", rf"{_W}(?:从|到|消失在|移到|躲到|穿过|绕到|藏到|经过|走到|滚到|滑到|飞到)<o>(?:的)?(?:后面|背后"
        rf"|后方)(?:经过|又出来|又出现)?"),
    ("hidden", r"<o>挡住了<a>|被<o>挡住了一会儿|暂时看不见了|消失了?一会儿又出现|被挡住了一会儿|不见了又回来"
        r"|在视线中消失片刻|隐没片刻"),
    ("launched", r"(?:一次又一次地?|反复|不断|不停地?|一次次|一再|连续)(?:被)?\{?(?:向上)?(?:弹起|跳起来?|抛起|抛上去"
        r"|弹到空中|飞起来|向上跳)|不停地向上跳|被弹射起来|向上弹起|被发射到空中"
                 r"|跃到空中|蹦起来|跳起来|弹射"),
    ("toppled", r"(?:推|撞|碰)倒了?<a>|把<a>(?:推|撞|碰)倒"),
    ("toppled", r"被<o>(?:推倒|撞倒)|倒下来?|倒塌(?:下来)?|翻倒(?:在地)?|垮了?|歪倒|塌了|倾倒|推倒|撞倒|倒了"),
    ("stacked", r"被(?:小心地|稳稳地|轻轻地?)?(?:叠|堆|垒|摞)(?:起来|在<o>上面?)|被(?:小心地|稳稳地|轻轻地?)?(?:放到"
        r"|放在|摆到|搁在)<o>(?:上面?)?|轻轻落在<o>上|被(?:小心地|稳稳地)?放(?:下|好)|轻轻地?落下放好"
                r"|(?:落在|叠在|放在)<o>上面?"),
    ("bounced", r"弹跳|弹起(?!来)|弹来弹去|反弹|蹦蹦跳跳|弹起来|弹开|一蹦一跳|弹回来|蹦来蹦去|弹个不停"),
    ("swung", r"(?:来回)?摆动(?:起来)?|摇摆|荡来荡去|摇来摇去|晃动|荡起来|来回摆摆?|左右摆"),
    ("pushed", r"被(?:<o>)?(?:轻轻|用力)?<way>(?:推动|推开|推了一下|推走|推着走|顶开|推出去|撞开|踢开|推)|受到推力"
        r"|挨了一推|被(?:<o>)?一推|<o>(?:推|撞|顶|踢)(?:开|动|了)?(?:一下)?<a>"),
    ("thrown", r"被(?:高高地)?<way>(?:扔出去|抛出|投出|抛起|丢出去|掷出|甩出去)|(?:扔|丢|甩)出去|飞出去|飞过空中|飞去"
        r"|飞行|抛出|抛起|投出|掷出|飞起来|飞过"),
    ("enters", r"\{from \w+\}(?:来了|出现)<a>|\{from \w+\}(?:飞|走|滚|滑|跑)进来|进来|出现|进入(?:画面|镜头|视野)"
        r"|移进来|来到这里|过来|登场|入场|来了|进场"),
    ("leaves", r"离开(?:画面|视野)?|[飞跑]走|[走跑]开|移开|移出去|出去|出了画面|离去|消失|退场|远去|移出画面|退出画面"
        r"|离场|退出"),
    ("dropped", r"从(?:上面|空中|高处|天上)(?:掉下来|落下|坠下|落到)|落下来?|掉下来?|坠落|掉落|往下掉|跌落|自由下落"
        r"|下落|坠下|落到"),
    ("rolled", r"翻滚|滚动着?|滚去|滚过去|滚开|滚"),
    ("slid", r"滑动|滑行|滑去|滑过去|滑开|滑过地面|滑过|滑"),
    ("walks", r"走来走去|走过|走动|行走|散步|走路|走去|走着|漫步|迈步|走|跑|奔跑|飞"),
    ("rests", r"静止不动|一动不动|静静地待着|没有动|保持不动|静静地停|停在原地不动|留在原处|在一旁不动|不动|静止"),
]
EVENTS = {"en": _ready(_EN, "en"), "zh": _ready(_ZH, "zh")}
# Where things are; group 1 is the other thing. Read last, when what happens behind or on something has been read.
PLACES = {
    "en": [*((rf"\{{rel {side}\}}\s*({M})", f"rel {side}") for side in ("left", "right", "beside")),
           (rf"\bbehind ({M})", "rel behind"), (rf"\bin front of ({M})", "rel front"), (rf"\bon ({M})", "rel on"),
           *((rf"\{{spot {side}\}}()", f"spot {side}") for side in ("left", "right", "middle", "front", "back"))],
    "zh": [*((rf"\{{rel {side}\}}({M})", f"rel {side}") for side in ("left", "right")),
           (rf"在({M})的?(?:后面|后方|背后)", "rel behind"), (rf"在({M})的?(?:前面|前方)", "rel front"),
           (rf"在({M})的?旁边", "rel beside"), (rf"在({M})上面?(?!方)", "rel on"),
           *((rf"\{{spot {side}\}}()", f"spot {side}") for side in ("left", "right", "middle", "front", "back"))],
}
