"""Words of prompts that the judge knows, in English and Chinese: names of kinds and colours, numbers, and words to pass
over. It is the judge's own: it shares no table with what writes captions, and knows words that captions don't use.
"""

from __future__ import annotations


def listed(words: str) -> list[str]:
    """Words between spaces, as a list."""
    return words.split()


_KINDS_EN = {
    "ball": "ball sphere orb globe marble football beachball softball", "basketball": "basketball",
    "box": "box cube block crate carton package parcel brick die chest", "cone": "cone pylon",
    "cylinder": "cylinder tube can drum barrel pipe tin canister", "plank": "plank board beam slat",
    "ramp": "ramp slope incline", "domino": "domino", "pendulum": "pendulum", "hoop": "hoop basket",
    "chair": "chair seat stool armchair", "table": "table desk bench", "wall": "wall barrier partition fence",
    "screen": "screen curtain shutter blind drape",
    "person": "person man woman human pedestrian girl boy child kid lady guy walker someone somebody adult",
    "dog": "dog puppy hound pup canine doggy doggie pooch", "bird": "bird songbird pigeon sparrow dove crow gull robin",
}
_BEFORE_EN = {  # words that a kind's noun may have before it without meaning another thing
    "ball": "soccer tennis beach rubber", "box": "cardboard wooden", "cone": "traffic", "plank": "wooden",
    "domino": "", "hoop": "basketball", "table": "wooden", "wall": "brick stone", "screen": "window", "chair": "wooden",
}
_MORE_EN = {"domino tile": "domino", "domino piece": "domino", "hanging weight": "pendulum", "inclined plane": "ramp",
            "human being": "person"}
_PLURALS = {"person": "people", "man": "men", "woman": "women", "child": "children", "domino": "dominoes",
            "puppy": "puppies", "box": "boxes", "die": "dice", "lady": "ladies", "bench": "benches"}
COLOURS_EN = {
    "red": "red crimson scarlet ruby cherry maroon vermilion", "orange": "orange tangerine amber",
    "yellow": "yellow lemon golden gold", "green":
        "green emerald grass-green lime olive", "blue": "blue azure navy cobalt"
    " sapphire indigo", "cyan": "cyan turquoise aqua teal", "purple": "purple violet lilac lavender mauve",
    "pink": "pink rose magenta", "white": "white snow-white ivory snowy", "black": "black jet-black pitch-black ebony",
}
NUMBERS_EN = listed("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen")
SEVERAL_EN = ("several", "some", "many", "multiple", "a few", "various", "numerous", "a number of", "a group of",
              "a bunch of", "a lot of", "lots of", "plenty of")
FORMS_EN = {"row": 3, "line": 3, "tower": 3, "stack": 2, "pile": 2, "pair": 2, "couple": 2}  # of so many at least
ADJECTIVES_EN = set(listed(
    "small little tiny medium-sized mid-sized medium large big huge giant bouncy rubber springy slippery smooth icy"
    " heavy"
    " weighty solid bright dark light deep pale wooden metal plastic old young tall short long shiny same different"
    " single"
    " lone empty moving rolling falling flying sleeping running walking bouncing sliding swinging spinning"))
# Words that say nothing of their own that is judged, or whose saying is read by patterns.
PASSED_EN = set(listed(
    "a an the this that these those its his her their it they them he she is are was were be been being has have had do"
    " does did not no of in on at to from by with and or but as while when where which who whose whom what how then now"
    " next later after afterwards before once soon first finally last meanwhile during together just also too again and"
    " over out up down off into onto through across along around about above below under between against towards toward"
    " away back forth forward forwards backward backwards left right leftwards rightwards leftward rightward upwards"
    " downwards upward downward higher lower closer near nearby next beside besides behind front top side middle centre"
    " center corner edge far foreground background distance close camera view viewpoint shot picture gaze frame image"
    " scene video clip film movie footage stage photo look see seen shows show showing there here you we us one can"
    " could"
    " will would may else only all both everything nothing something anything every each other another more time times"
    " moment while bit little later same thing things way room indoors inside outside outdoors floor ground lawn grass"
    " sunny garden night dark day air sky height short tabletop empty smooth target rim score side view sight motion"
    " movement change new changes happens happen quiet calm still quietly slowly quickly fast gently softly suddenly"
    " carefully smoothly repeatedly high steadily simply very really slightly start starts begin begins keep keeps stop"
    " stops come comes coming came go goes going went gone get gets got make makes making take takes taking give"
    " given gives"
    " let lets be set sets put puts find finds found find having than because hit hits hitting place position degrees"
    " degree metre metres meter meters by for if so such stand stands standing stood sit sits sitting lie lies lying"
    " wait"
    " waits waiting stay stays staying remain remains remaining rest rests resting move moves moving moved at once"
    " point end ends ended ending reappear reappears shown show uncovered apart set wearing dressed clad clothes"
    " shirt coat"
    " dress outfit clothing jacket colour color coloured colored walkway alone itself themselves him there's it's"
    " looks static fixed fro receives receive holds hold kept action free flat wide past fail fails th opposite halfway"
    " another's somewhere place placed picture's entire whole around same without"))

_KINDS_ZH = {
    "ball": "球 圆球 小球 球体 皮球 大球 足球 网球 弹珠", "basketball": "篮球",
    "box": "箱子 盒子 立方体 方块 木箱 纸箱 方盒 箱 盒 积木 正方体", "cylinder": "圆柱 圆柱体 圆筒 罐子 柱子 罐 桶"
        " 圆桶",
    "cone": "圆锥 锥体 圆锥体 路锥 交通锥 锥桶 锥子", "plank": "木板 板子 长板 木条", "ramp": "斜坡 坡道 斜面 坡",
    "domino": "骨牌 多米诺骨牌 多米诺", "pendulum": "钟摆 摆锤 吊锤 单摆", "hoop": "篮筐 篮圈 篮球架 篮框 球框",
    "chair": "椅子 座椅 凳子 椅", "table": "桌子 台子 书桌 桌", "wall": "墙 墙壁 隔墙 围墙", "screen":
    "幕布 屏幕 帘子 窗帘 屏风", "person":
        "人 男人 女人 行人 男孩 女孩 小孩 小朋友 孩子 人类 路人 男子 女子", "dog": "狗"
        " 小狗 狗狗 大狗 犬 狗子",
    "bird": "鸟 小鸟 鸟儿 鸽子 麻雀 大鸟",
}
_COLOURS_ZH = {
    "red": "红色 鲜红色 大红色 深红色 红 赤色 绯红色", "orange": "橙色 橘色 橘黄色 橙 橘红色", "yellow": "黄色 金黄色"
        " 亮黄色 黄 金色",
    "green": "绿色 翠绿色 草绿色 绿 碧绿色", "cyan": "青色 青绿色 蓝绿色 青", "blue": "蓝色 深蓝色 宝蓝色 湛蓝色 蓝"
        " 天蓝色",
    "purple": "紫色 紫罗兰色 深紫色 紫", "pink": "粉色 粉红色 浅粉色 粉 粉红", "white": "白色 雪白色 纯白色 白 雪白",
    "black": "黑色 漆黑色 纯黑色 黑 漆黑",
}
NUMBERS_ZH = listed("零 一 两 三 四 五 六 七 八 九 十 十一 十二 十三 十四 十五 十六")
MEASURES_ZH = "个只条块张把面道艘辆架匹头朵棵座台位名颗枚根片串幅堵扇"
ADJECTIVES_ZH = listed(
    "中等大小的 不大不小的 小小的 很大的 大大的 很小的 巨大的 有弹性的 橡胶的 光滑的 滑溜溜的 沉重的 很重的 矮小的"
    " 高大的 木头的 木制的 大 小 新的 可爱的 亮 深 浅")
# What a clip is set in, and words round about: taken out before things are looked for.
SETTINGS_EN = (r"\b(?:all )?(?:on|in|inside|under|at)(?: the| a| an)?(?: floor of a)?(?: empty| sunny| smooth| wooden"
    r"| dark)*"
               r" (?:room|table ?top|lawn|grass|garden|floor|ground|night)(?: at night)?\b(?!-)"
               r"|\boutdoors on the grass\b"
               r"|\b(?:indoors|outdoors)\b")
SETTINGS_ZH = listed(
    "阳光下的草地上 院子的草坪上 一个房间里 一张桌面上 木头桌面上 夜里的地板上 夜里在地上 房间里 屋里 室内 桌面上"
    " 草地上 草坪上 夜晚 夜里 黑暗中 地板上 地上 地面上 户外 院子里")
PASSED_ZH = listed(
    "画面 镜头 摄像机 相机 视角 机位 机身 视频 场景 一幕 可以 看到 看见 能看 只见 我们 这里 这段 里面 有 是 的 了 着"
    " 在 就 和 与 及 也 还 又 都 被 把 从 到 向 往 朝"
    " 向着 沿着 这样 眼前 先 静止 静静地 只有 摆 停 位置 待 正好 处 旁边 附近 一旁 除了 然后 接着 之后 随后 后来 再"
    " 过 一会儿 接下来 随即 以后 于是 突然 现在 这时"
    " 同时 与此同时 时候 当 时 首先 先是 下一 看 一段 中 里 上 下 左 右 前 后 边 侧 面 方 内 外 远 近 高 低 间 央 那"
    " 这 其 其中 另 另外 它 们 他 她 之 地 得 个 只 条"
    " 块 张 把 面 道 一 不 没 没有 动 静 什么 发生 一切 所有 东西 变化 如常 照旧 安静 保持 不变 多 来 去 出 进 起 开"
    " 放 好 缓缓 慢慢 平稳 轻轻 用力 骨碌碌 一路 正在 开始 渐渐 快速"
    " 停在 原地 原处 留 反复 不停 不断 一次 次 再次 稳稳 小心 高高 划 道 弧线 空中 空 片刻 暂时 视线 视野 消失 出现"
    " 给 让 使 并 而 且 但 才 刚 整个 整体 绕 围 摇 转 移 推"
    " 升 降 度 米 点 零 走 跟 随 始终 对 追 固定 穿 衣服 衣 身 由 至 最 后面 前面 左边 右边 起来 下来 下去 上去 出去"
    " 进来 过来 过去 回来 一起 一直 正 很 排 列 行 摞 堆 叠 塔"
    " 成 自己 同 路 拉 近 自由 自 天 回 倾 背 背后 连续 状态 处于 安静地 见 视野 体 于 幕 子 圈 儿 用 将 吧 呢 啊 吗")


def _plural(word: str) -> str:
    if word in _PLURALS:
        return _PLURALS[word]
    return word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")


def kinds_en() -> dict[tuple[str, ...], tuple[str, bool]]:
    """Words of an English noun, one after another -> its kind and whether it means several."""
    found: dict[tuple[str, ...], tuple[str, bool]] = {}
    for kind, words in _KINDS_EN.items():
        for word in words.split():
            for noun, several in ((word, False), (_plural(word), True)):
                found[(noun,)] = (kind, several)
                for before in _BEFORE_EN.get(kind, "").split():
                    found[(before, noun)] = (kind, several)
    for phrase, kind in _MORE_EN.items():
        first, last = phrase.split()
        found[(first, last)], found[(first, last + "s")] = (kind, False), (kind, True)
    found[("dominos",)] = ("domino", True)
    found[("persons",)] = ("person", True)
    found[("basketball", "basket")] = ("hoop", False)
    return found


def _turned(table: dict[str, str]) -> dict[str, str]:
    return {word: name for name, words in table.items() for word in words.split()}


def colours_en() -> dict[str, str]:
    """English word -> name of a colour in core.vocabulary."""
    return _turned(COLOURS_EN)


def kinds_zh() -> dict[str, str]:
    """Chinese noun -> kind."""
    return _turned(_KINDS_ZH)


def colours_zh() -> dict[str, str]:
    """Chinese word -> name of a colour."""
    return _turned(_COLOURS_ZH)
