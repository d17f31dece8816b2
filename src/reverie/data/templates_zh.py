"""Chinese sentence templates of the captions: the tables of templates_en."""

from __future__ import annotations

EVENTS = {
    "rests": (
        "{a}在那里", "{a}({with})静止不动", "{a}({with})一动不动", "{a}静静地待着", "{a}({with})停着",
        "{a}没有动", "{a}保持不动", "{a}({with})静静地停在原地", "{a}留在原处", "{a}({with})不动",
        "{a}安静地待在那儿", "{a}停在原地不动", "{a}处于静止状态",
    ),
    "dropped": (
        "{a}({with})落下", "{a}({with})掉下来", "{a}({with})坠落", "{a}({with})掉落", "{a}({with})落下来",
        "{a}从上面掉下来", "{a}从空中落下", "{a}从高处坠下", "{a}({with})往下掉", "{a}被松开后落下",
        "{a}({with})跌落", "{a}({with})自由下落", "{a}从天上掉下来", "{a}({with})下落", "{a}一下子掉下来",
        "{a}从高处落到地上", "{a}({with})坠下",
    ),
    "thrown": (
        "{a}被({with})({dir})扔出去", "{a}被({with})({dir})抛出", "{a}({with})({dir})飞出去",
        "{a}({with})({dir})飞过空中", "{a}被({with})({dir})投出", "{a}被({with})({dir})抛起",
        "{a}({with})({dir})飞去", "{a}在空中({with})({dir})飞行", "{a}被({with})({dir})丢出去",
        "{a}被高高地({dir})抛出", "{a}划出一道弧线({dir})飞去", "{a}被({with})({dir})掷出",
        "{a}被({with})({dir})甩出去", "{a}({with})({dir})飞起来",
    ),
    "rolled": (
        "{a}({with})({dir})滚动", "{a}({with})({dir})滚", "{a}({with})({dir})滚去",
        "{a}({with})({dir})滚过去", "{a}在地上({with})({dir})滚动", "{a}开始({with})({dir})滚动",
        "{a}慢慢地({with})({dir})滚", "{a}({with})({dir})滚动着", "{a}骨碌碌地({with})({dir})滚",
        "{a}({with})({dir})滚开", "{a}一路({with})({dir})滚", "{a}正在({with})({dir})滚动",
        "{a}在地面上({dir})滚", "{a}({with})({dir})翻滚",
    ),
    "slid": (
        "{a}({with})({dir})滑动", "{a}({with})({dir})滑行", "{a}({with})({dir})滑去",
        "{a}({with})({dir})滑过去", "{a}在地上({with})({dir})滑动", "{a}开始({with})({dir})滑动",
        "{a}平稳地({with})({dir})滑行", "{a}慢慢地({with})({dir})滑", "{a}({with})({dir})滑开",
        "{a}正在({with})({dir})滑动", "{a}一路({with})({dir})滑", "{a}在地面上({dir})滑行",
        "{a}({with})({dir})滑过地面",
    ),
    "pushed": (
        "{a}被({with})({dir})推动", "{a}被({with})({dir})推开", "{a}被({with})推了一下",
        "{a}被({with})({dir})推走", "{a}被({with})({dir})推", "{a}受到推力({dir})移动",
        "{a}被轻轻({dir})推了一下", "{a}被({with})({dir})推着走", "{a}被用力({dir})推",
        "{a}被({with})一推({dir})动起来", "{a}被({with})({dir})顶开", "{a}被({with})({dir})推出去",
        "{a}挨了一推({dir})移动",
    ),
    "swung": (
        "{a}({with})摆动", "{a}({with})来回摆动", "{a}({with})摇摆", "{a}({with})荡来荡去",
        "{a}({with})左右摇摆", "{a}开始({with})摆动", "{a}({with})晃动", "{a}在空中({with})摆动",
        "{a}({with})摇来摇去", "{a}不停地({with})摆动", "{a}({with})左右摆动", "{a}松开后({with})摆动起来",
        "{a}({with})荡起来", "{a}({with})左摇右摆",
    ),
    "toppled": (
        "{a}({with})倒下", "{a}({with})倒塌", "{a}({with})翻倒", "{a}被({o})推倒", "{a}({with})倒了",
        "{a}({with})倒下来", "{a}({with})垮了", "{a}被({o})撞倒", "{a}({with})翻倒在地",
        "{a}({with})倒塌下来", "{a}({with})歪倒", "{a}一下子({with})倒下", "{a}({with})塌了",
        "{a}({with})倾倒",
    ),
    "stacked": (
        "{a}被叠起来", "{a}被放到{o}上", "{a}被叠在{o}上面", "{a}被放在{o}上", "{a}被堆起来", "{a}被放下",
        "{a}轻轻落在{o}上", "{a}被摆到{o}上面", "{a}被小心地放下", "{a}被堆在{o}上", "{a}被搁在{o}上",
        "{a}轻轻地落下放好", "{a}被垒起来", "{a}被摞起来", "{a}被稳稳地放好",
    ),
    "launched": (
        "{a}({with})一次又一次地弹起", "{a}({with})被弹射起来", "{a}({with})反复跳起",
        "{a}({with})不断被抛起", "{a}({with})一次次跳起来", "{a}({with})向上弹起",
        "{a}({with})被发射到空中", "{a}({with})不停地向上跳", "{a}({with})反复弹到空中",
        "{a}({with})跃到空中", "{a}({with})一再被抛上去", "{a}({with})连续弹起", "{a}({with})蹦起来",
        "{a}({with})反复被弹起", "{a}({with})一次次飞起来",
    ),
    "bounced": (
        "{a}({with})弹跳", "{a}({with})弹来弹去", "{a}({with})反弹", "{a}({with})来回弹跳",
        "{a}({with})蹦蹦跳跳", "{a}({with})弹起来", "{a}不停地({with})弹跳", "{a}({with})弹开",
        "{a}({with})一蹦一跳", "{a}({with})弹回来", "{a}上下弹跳", "{a}({with})来回反弹",
        "{a}正在({with})弹跳", "{a}({with})蹦来蹦去", "{a}({with})不断反弹", "{a}({with})弹个不停",
    ),
    "hidden": (
        "{a}({dir})从{o}后面经过", "{a}到{o}后面又出来", "{a}消失在{o}后面又出现", "{a}({dir})移到{o}后面",
        "{a}被{o}挡住了一会儿", "{a}躲到{o}后面", "{a}({dir})穿过{o}后面", "{o}挡住了{a}",
        "{a}({dir})经过{o}背后又出来", "{a}暂时看不见了", "{a}消失了一会儿又出现", "{a}被挡住了一会儿",
        "{a}不见了又回来", "{a}在视线中消失片刻", "{a}({dir})绕到{o}后面", "{a}藏到{o}后面", "{a}隐没片刻",
    ),
    "covered": (
        "{o}在{a}前面落下", "{a}被{o}遮住", "{o}遮住{a}又升起", "{o}降下来挡住{a}", "{a}被{o}盖住了一会儿",
        "{o}落下遮住{a}然后升起", "{a}被{o}挡住", "{o}放下来遮住了{a}", "{a}消失在{o}后面",
        "{a}被遮住了一会儿", "{a}被遮住又露出来", "{a}被挡住后又露出来", "{a}暂时被遮住", "{o}把{a}遮住",
    ),
    "scored": (
        "{a}穿过{o}", "{a}落进{o}", "{a}被投进{o}", "{a}进了{o}", "{a}投进了", "{a}掉进{o}",
        "{a}从{o}中穿过", "{a}进球得分", "{a}飞进{o}", "{a}命中{o}", "{a}得分了", "{a}进了", "{a}投中{o}",
        "{a}空心入网",
    ),
    "missed": (
        "{a}没进{o}", "{a}投偏了", "{a}从{o}旁边飞过", "{a}没有投进{o}", "{a}碰到{o}弹开", "{a}没投中",
        "{a}打在{o}上弹出来", "{a}没有命中{o}", "{a}没有进", "{a}错过了{o}", "{a}偏离了{o}", "{a}没投进",
        "{a}擦过{o}", "{a}投失了", "{a}投丢了", "{a}没命中", "{a}没落进{o}",
    ),
    "enters": (
        "{a}({side})进来", "{a}({side})出现", "{a}({side})进入画面", "{a}({side})移进来", "{side}来了{a}",
        "{a}({side})来到这里", "{a}({side})进入镜头", "{a}({side})过来", "{a}({side})进入视野",
        "{a}({side})登场", "{a}({side})入场", "{side}出现{a}", "{a}({side})来了", "{a}({side})进场",
    ),
    "leaves": (
        "{a}({dir})离开", "{a}({dir})移开", "{a}({dir})离开画面", "{a}({dir})移出去", "{a}({dir})出去",
        "{a}({dir})出了画面", "{a}({dir})离去", "{a}({dir})消失", "{a}({dir})退场", "{a}({dir})远去",
        "{a}({dir})移出画面", "{a}({dir})退出画面", "{a}({dir})离开视野", "{a}({dir})离场",
        "{a}({dir})退出",
    ),
    "walks": (
        "{a}({with})({dir})走", "{a}({with})({dir})走过", "{a}({with})({dir})走动",
        "{a}({with})({dir})行走", "{a}({with})({dir})散步", "{a}在({with})({dir})走路",
        "{a}({with})({dir})走去", "{a}慢慢地({with})({dir})走", "{a}({with})({dir})走着",
        "{a}({with})走来走去", "{a}开始({with})({dir})走", "{a}正在({with})({dir})走",
        "{a}({with})({dir})漫步", "{a}({with})({dir})迈步",
    ),
}

TITLES = {
    "rests": ("{a}",),
}
# What {with} says of the other thing, by event and the other's kind ("*" for any other kind).
WITH = {
    "rests": {"*": ("在{o}旁边",)},
    "dropped": {"*": ("在{o}上方", "从{o}上方", "朝{o}"), "wall": ("在{o}旁边",), "screen": ("在{o}旁边",)},
    "thrown": {"*": ("朝{o}", "向着{o}")},
    "rolled": {"*": ("朝{o}", "向着{o}"), "ramp": ("沿着{o}", "从{o}上"), "table": ("从{o}上",)},
    "slid": {"*": ("朝{o}", "向着{o}"), "ramp": ("沿着{o}", "从{o}上"), "table": ("从{o}上",)},
    "pushed": {"*": ("{o}",)},
    "swung": {"*": ("朝{o}", "向着{o}")},
    "toppled": {"*": ("被{o}碰到后", "被{o}撞到后")},
    "stacked": {"*": ("在{o}上",)},
    "launched": {"*": ("从{o}上",)},
    "bounced": {"*": ("撞到{o}后", "碰到{o}后"), "several": ("在{o}之间",)},
    "walks": {"*": ("从{o}旁边", "在{o}旁边")},
}
# Of a line: {events} what happens, {rest} what is there besides, {things} all that is there.
OPENINGS = {
    "plain": (
        "{events}", "({setting},){events}", "({setting},)可以看到{events}", "({setting}:){events}",
        "画面中,({setting},){events}", "视频里,({setting},){events}", "只见({setting},){events}",
        "{setting},有这样一幕:{events}", "({setting},)我们看到{events}", "场景({setting}):{events}",
        "镜头里({setting}){events}", "一段视频:({setting},){events}", "看,({setting}){events}",
        "这段视频里,({setting},){events}", "这一幕中,({setting},){events}", "下一幕:({setting},){events}",
        "({setting},)这一幕是:{events}", "一幕:({setting},){events}", "{setting},这一幕里{events}",
    ),
    "rest": (
        "({setting},){events},旁边有{rest}", "({setting},){events},还有{rest}",
        "({setting},){events}.旁边还有{rest}", "({setting},)旁边有{rest},{events}",
        "({setting},){events},附近是{rest}", "({setting},){events};一旁有{rest}",
        "({setting},){events}.画面里还有{rest}", "({setting},)在{rest}旁边,{events}",
        "({setting},){events},{rest}在一旁不动", "({setting},)除了{rest},还可以看到{events}",
        "({setting},){events},附近还有{rest}",
    ),
    "scene": (
        "({setting})有{things}.{events}", "({setting},)有{things},{events}",
        "这里({setting})有{things}.{events}", "{things}({setting}).{events}",
        "画面里({setting})有{things}.{events}", "({setting})可以看到{things}.{events}",
        "({setting}:){things}.{events}", "场景:({setting})有{things}.{events}",
        "我们看到{things}({setting}).{events}", "({setting})摆着{things}.{events}",
        "({setting})能看见{things};{events}", "眼前({setting})是{things}.{events}",
        "({setting},)能看到{things},{events}", "先看到({setting})有{things}.{events}",
    ),
    "still": (
        "({setting})有{things}", "{things}({setting})", "这里({setting})有{things}",
        "画面里({setting})有{things}", "({setting}:){things}", "({setting})摆着{things}",
        "({setting})可以看到{things}", "只有{things}({setting})", "{things}({setting})静止不动",
        "({setting})只有{things}", "静止的画面:({setting})有{things}", "{things}静静地({setting})",
        "我们看到{things}({setting})", "一个静止的场景:({setting})有{things}", "眼前({setting})是{things}",
    ),
    "empty": (
        "没有动静", "一切静止", "什么也没发生", "一切不动", "画面保持不变", "一切照旧", "没有变化",
        "都静止不动", "一片安静", "什么都没有动", "一切如常", "所有东西都不动",
    ),
    "new": (
        "还有{rest}", "现在还有{rest}", "这里多了{rest}", "另外还有{rest}", "可以看到{rest}",
        "画面里多了{rest}", "现在有{rest}", "又有{rest}", "又来了{rest}", "还能看到{rest}", "也有{rest}",
    ),
    "beside": (
        "({setting},){events},{place}", "({setting},){place},{events}", "({setting}){events},位置{place}",
        "{place},{events}", "就{place},({setting},){events}", "({setting},){place}可以看到{events}",
        "({setting}:){place},{events}", "画面中{place},{events}", "在画面里,{place},{events}",
        "({setting},)就{place},{events}", "看,{place},{events}", "({setting},){place}处,{events}",
    ),
}
PLACED = (
    "{a}{place}", "{place}的是{a}", "{a}就{place}", "{place}有{a}", "{a}位置{place}", "{a}停{place}",
    "可以看到{a}{place}", "{place}能看到{a}", "{a}正好{place}", "{a}待{place}", "{place}摆着{a}",
    "{place}停着{a}",
)
THEN = (
    "{x},然后{y}", "{x},接着{y}", "{x}.然后{y}", "{x}.之后{y}", "{x},随后{y}", "{x}.接着,{y}",
    "先是{x},然后{y}", "{x}之后,{y}", "{x},再后来{y}", "{x}.过了一会儿,{y}", "{x};随后,{y}", "{x}以后,{y}",
    "首先{x},接下来{y}", "{x},之后{y}", "{x}.随即,{y}",
)
MEANWHILE = (
    "{x},同时{y}", "{x},与此同时{y}", "{x}的同时,{y}", "{x},{y}", "{x}的时候,{y}", "在{x}时,{y}",
    "{x};同时,{y}", "{x}.与此同时,{y}", "{x},这时{y}", "当{x}时,{y}", "{x};这时,{y}", "{x},同一时间{y}",
)
LATER = (
    "{events}", "然后{events}", "现在{events}", "接着{events}", "接下来,{events}", "这时{events}",
    "随后{events}", "之后{events}", "突然,{events}", "后来{events}", "过了一会儿,{events}",
    "再接着,{events}", "于是{events}",
)
CAMERA = {
    "pan": (
        "镜头({way})摇({amount})", "镜头({way})转({amount})", "摄像机({way})摇({amount})",
        "画面({way})转动({amount})", "镜头({way})转动({amount})", "相机({way})转({amount})",
        "镜头缓缓({way})摇({amount})", "视角({way})转({amount})", "摄像机({way})转动({amount})",
        "镜头({way})摇动({amount})",
    ),
    "tilt": (
        "镜头({way})倾斜({amount})", "摄像机({way})倾斜({amount})", "镜头({way})看",
        "视角({way})倾斜({amount})", "相机({way})倾斜({amount})", "镜头缓缓({way})倾({amount})",
        "画面({way})倾斜({amount})", "摄像机({way})看", "镜头({way})仰俯({amount})",
    ),
    "orbit": (
        "镜头({way})环绕({amount})", "镜头({way})绕行({amount})", "摄像机({way})环绕({amount})",
        "镜头({way})绕着场景转({amount})", "相机({way})环绕({amount})", "镜头围着场景({way})转({amount})",
        "摄像机({way})绕着中间转({amount})", "视角({way})环绕({amount})", "镜头缓缓({way})环绕({amount})",
        "镜头({way})绕圈({amount})",
    ),
    "dolly": (
        "镜头({way})移动({amount})", "镜头({way})推移({amount})", "摄像机({way})移动({amount})",
        "相机({way})移动({amount})", "镜头缓缓({way})移({amount})", "镜头({way})走({amount})",
        "视角({way})移动({amount})", "摄像机({way})推移({amount})", "镜头慢慢({way})移动({amount})",
        "镜头平稳地({way})移动({amount})", "镜头({way})行进({amount})", "机身({way})移动({amount})",
    ),
    "crane": (
        "镜头({way})升降({amount})", "摄像机({way})升降({amount})", "镜头整个({way})移({amount})",
        "相机({way})升降({amount})", "镜头缓缓({way})升降({amount})", "视角({way})升降({amount})",
        "镜头({way})飘({amount})", "摄像机整体({way})移动({amount})", "镜头慢慢({way})升降({amount})",
        "机位({way})移动({amount})", "镜头({way})运动({amount})",
    ),
    "follow": (
        "镜头跟着{o}", "镜头跟随{o}", "摄像机跟着{o}", "镜头一路跟随", "镜头追着{o}", "相机跟随{o}",
        "镜头始终对着{o}", "镜头跟着动", "镜头跟着移动", "摄像机跟随移动", "视角跟随{o}", "画面跟着{o}走",
    ),
    "still": (
        "镜头不动", "镜头静止", "摄像机不动", "固定镜头", "镜头保持不动", "相机不动", "镜头固定不动",
        "机位不变", "画面不动", "视角不变", "摄像机静止不动",
    ),
}
WITH_CAMERA = (
    "{line}.{camera}", "{line},{camera}", "{line},同时{camera}", "{line};{camera}", "{camera},{line}",
    "{camera}.{line}", "{line}.同时{camera}", "{camera}:{line}", "{line}.与此同时,{camera}",
    "{line},这时{camera}", "{camera};{line}",
)
