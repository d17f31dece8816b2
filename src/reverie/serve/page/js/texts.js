// Every word that the page says, in each language, and how elements get them.
//   data-t="key"              the element's text
//   data-t-label|title|placeholder="key"   its aria-label (and title), title or placeholder
// say(key, values) gives a text; words(root) puts them all in; {name} in a text is filled from values.

const TEXTS = {
  en: {
    skip: "Skip to the page", tabs: "Parts of the studio", tab_dream: "Dream", tab_drive: "Drive", tab_futures: "Futures",
    language: "中文", theme: "Dark or light", close: "Close", cancel: "Cancel",
    // the machine
    ready: "ready", loading: "the model is loading", down: "no worker is running", offline: "the server does not answer",
    waiting: "{n} waiting", running: "dreaming",
    key_title: "This server asks for a key", key_text: "Whoever runs it can give you one. It is kept in a cookie of this browser only.",
    key: "API key", key_wrong: "The server does not know this key.", enter: "Enter",
    // dream
    dream_title: "What should happen?", prompt: "What should happen",
    prompt_hint: "A red ball rolls behind a wall and comes out again…",
    examples: "For instance", unknown: "Not in the model's world: {words}", unknown_hint: "It may not understand them.",
    given: "Begin from", given_hint: "Drop or choose a picture or a video", choose: "choose a file", take_out: "Take it out",
    given_image: "the video begins with this picture", given_video: "the video goes on from the end of this one",
    given_bad: "This is neither a picture nor a video.", given_big: "This file is larger than {n} MB.",
    camera: "Camera", amount: "by", degrees: "°", metres: "m",
    still: "hold still", free: "as it likes", orbit_left: "orbit left", orbit_right: "orbit right", pan_left: "pan left",
    pan_right: "pan right", tilt_up: "tilt up", tilt_down: "tilt down", dolly_in: "dolly in", dolly_out: "dolly out",
    crane_up: "crane up", crane_down: "crane down",
    length: "Length", seconds: "{n} s", size: "Size", model: "Model", seed: "Seed", dice: "Another seed",
    go: "Dream", going: "Sending…", go_hint: "Ctrl + Enter",
    // gallery
    gallery: "Dreams", empty_title: "Nothing dreamt yet",
    empty_text: "Write a sentence and press Dream. The first frames come within a second or two, and the picture grows while the rest is made.",
    more: "Show more", all: "that is all", queued: "waiting, {n} before it", queued_next: "next in line", failed: "It failed",
    making: "{done} of {all} frames", cancelled: "cancelled",
    remix: "Remix", remix_text: "The same dream with other words: what should happen?", extend: "Extend",
    extend_text: "It goes on: what happens next?", futures: "Futures", drive_on: "Drive on from here", download: "Download", log: "Log",
    remove: "Delete", remove_text: "Delete this video? It cannot be brought back.", stop_text: "Stop this dream? What was made of it is lost.",
    open: "Open: {prompt}", untitled: "without words", kind_extend: "extended", kind_remix: "remix", kind_edit: "edit",
    kind_future: "future", kind_drive: "driven", facts: "{seconds} s · {size}", facts_seed: "seed {seed}", took: "made in {n} s",
    playing: "Play", pausing: "Pause", sent: "On its way",
    // audit
    audit: "Physics audit", audit_run: "Audit the physics", audit_wait: "the judge is looking…", audit_clean: "no violation found",
    audit_some: "{n} violations", audit_one: "1 violation", audit_cannot: "nothing to judge", audit_failed: "the audit failed: {why}",
    audit_later: "audited when the machine is idle", seen: "What the judge sees", imagined: "What the model means",
    no_boxes: "Bare", overlay: "Drawn over the video", at: "at {t} s", jump: "Jump to {t} s: {what}", unjudged: "Not judged",
    followed: "things followed",
    law_vanish: "vanished", law_duplicate: "doubled", law_deform: "deformed",
    // drive
    drive_title: "Step into a dream", drive_text: "It is imagined four frames at a time, from the keys you hold and the words you say.",
    drive_prompt: "Where does it begin?", drive_hint: "A yellow ball and a green box in a room",
    world: "World", lab: "The lab", lab_text: "Balls, boxes, people, dogs and birds in a room, on a table, a lawn or at night. Keys move the camera.",
    road: "The road", road_text: "No model has learned it yet: it can be simulated (reverie data make road), not dreamt or driven.",
    road_no: "not yet", past: "Goes on from", past_none: "words alone", past_pick: "Choose a past",
    start: "Start", starting: "waking up…", stop: "Stop", restart: "Start again", record: "Record", recording: "Recording", record_on: "Record from the first frame",
    say: "Make something happen", say_hint: "a red ball falls", say_it: "Say it",
    fps: "frames a second", latency: "from key to picture", step: "model, a step", speed: "speed", turning: "turning", beside: "{n} dreaming together",
    metres_s: "{n} m/s", degrees_s: "{n} °/s", ms: "{n} ms", dropped: "{n} frames left out",
    drive_keys: "Keys", key_move: "move in and out, around", key_look: "look", key_lift: "down and up", key_fast: "faster",
    pad_move: "Move", pad_look: "Look", pad_up: "Up", pad_down: "Down", pads: "Touch pads", gamepad: "Gamepad connected",
    ended_stopped: "You woke up.", ended_idle: "Nobody touched it for {n} seconds, so it ended.", ended_failed: "The dream broke off.", ended_long: "A dream ends after ten minutes. Start another.",
    ended_lost: "The connection is gone.", recorded: "Recorded {n} s", in_gallery: "Open it in the gallery", stage: "The dream: keys move the camera here",
    drive_idle: "Nothing is being dreamt.", driving_unknown: "Not in the model's world: {words}",
    // futures
    futures_title: "What could happen next", futures_text: "One past, several futures. Choose a video and a moment in it.",
    futures_pick: "The past", futures_drop: "or drop a video", futures_none: "Dream something first, or drop a video here.",
    moment: "The moment", moment_text: "The past ends at {t} s", moment_end: "The past ends where the video does, at {t} s",
    count: "How many", ahead: "How far", actions: "What the camera does", chance: "Nothing: chance alone", fan: "A different move in each",
    same: "The same move in all", futures_words: "And then (may stay empty)", futures_hint: "the ball falls off the table", see: "See the futures", future_n: "Future {n}",
    tracks: "Tracks", scrub: "Time, in all of them", past_mark: "the past ends", earlier: "Earlier futures", futures_of: "{n} futures · {prompt}",
    no_futures: "The futures will stand here side by side.", each: "Camera of future {n}",
    // errors
    e_network: "The server cannot be reached. Is it still running?", e_again: "Try again", e_full: "The server has enough to do: try again in {n} s.",
    e_many: "Every live seat is taken. Try again in a minute.", e_unsupported: "The server has no live channel.",
  },
  zh: {
    skip: "跳到正文", tabs: "工作室的各部分", tab_dream: "造梦", tab_drive: "驾驶", tab_futures: "未来",
    language: "English", theme: "深色或浅色", close: "关闭", cancel: "取消",
    ready: "就绪", loading: "模型正在加载", down: "没有在运行的工作进程", offline: "服务器没有回应", waiting: "{n} 个在等", running: "正在造梦",
    key_title: "这台服务器需要密钥", key_text: "请向管理者索取。它只保存在此浏览器的 Cookie 里。", key: "API 密钥", key_wrong: "服务器不认识这个密钥。", enter: "进入",
    dream_title: "会发生什么？", prompt: "会发生什么", prompt_hint: "一个红球滚到墙后面，又滚了出来……",
    examples: "例如", unknown: "模型没见过：{words}", unknown_hint: "它可能不明白。",
    given: "从何开始", given_hint: "拖入或选择图片、视频", choose: "选择文件", take_out: "去掉",
    given_image: "视频从这张图片开始", given_video: "接着这段视频的结尾继续", given_bad: "这既不是图片也不是视频。", given_big: "文件超过 {n} MB。",
    camera: "镜头", amount: "幅度", degrees: "°", metres: "米",
    still: "静止", free: "随它", orbit_left: "向左环绕", orbit_right: "向右环绕", pan_left: "左摇", pan_right: "右摇", tilt_up: "上仰", tilt_down: "下俯",
    dolly_in: "推进", dolly_out: "拉远", crane_up: "升", crane_down: "降",
    length: "时长", seconds: "{n} 秒", size: "尺寸", model: "模型", seed: "种子", dice: "换个种子", go: "造梦", going: "正在发送……", go_hint: "Ctrl + 回车",
    gallery: "梦", empty_title: "还没有梦", empty_text: "写一句话，按“造梦”。一两秒后就有最初的画面，其余的边造边长。",
    more: "更多", all: "就这些", queued: "等待中，前面还有 {n} 个", queued_next: "下一个就是它", failed: "失败了", making: "第 {done} / {all} 帧", cancelled: "已取消",
    remix: "改写", remix_text: "同一个梦，换一句话：会发生什么？", extend: "续写", extend_text: "继续下去：接着发生什么？", futures: "未来",
    drive_on: "从这里开下去", download: "下载", log: "日志", remove: "删除", remove_text: "删除这段视频？无法恢复。", stop_text: "停止这个梦？已造的部分会丢失。",
    open: "打开：{prompt}", untitled: "没有文字", kind_extend: "续写", kind_remix: "改写", kind_edit: "编辑", kind_future: "未来", kind_drive: "驾驶",
    facts: "{seconds} 秒 · {size}", facts_seed: "种子 {seed}", took: "用时 {n} 秒", playing: "播放", pausing: "暂停", sent: "已送出",
    audit: "物理审查", audit_run: "审查物理", audit_wait: "裁判正在看……", audit_clean: "没有发现违规", audit_some: "{n} 处违规", audit_one: "1 处违规",
    audit_cannot: "没有可判断的", audit_failed: "审查失败：{why}", audit_later: "机器空闲时审查", seen: "裁判看到的", imagined: "模型想的", no_boxes: "不画",
    overlay: "画在视频上", at: "{t} 秒", jump: "跳到 {t} 秒：{what}", unjudged: "未判断", followed: "个被跟踪的东西",
    law_vanish: "消失", law_duplicate: "分身", law_deform: "变形",
    drive_title: "走进梦里", drive_text: "每次想象四帧，凭你按住的键和说的话。", drive_prompt: "从哪里开始？", drive_hint: "房间里有一个黄球和一个绿箱子",
    world: "世界", lab: "实验室", lab_text: "球、箱子、人、狗和鸟，在房间、桌上、草地或夜里。按键移动镜头。", road: "道路",
    road_text: "还没有模型学会它：可以模拟（reverie data make road），还不能造梦或驾驶。", road_no: "尚不可用", past: "接着", past_none: "只凭文字", past_pick: "选一段过去",
    start: "开始", starting: "正在入梦……", stop: "停止", restart: "再来一次", record: "录制", recording: "录制中", record_on: "从第一帧起录制",
    say: "让事情发生", say_hint: "一个红球落下", say_it: "说", fps: "每秒帧数", latency: "从按键到画面", step: "模型每步", speed: "速度", turning: "转动",
    beside: "{n} 个一起做梦", metres_s: "{n} 米/秒", degrees_s: "{n} °/秒", ms: "{n} 毫秒", dropped: "略去 {n} 帧",
    drive_keys: "按键", key_move: "进退、环绕", key_look: "看", key_lift: "降和升", key_fast: "加快", pad_move: "移动", pad_look: "看", pad_up: "升", pad_down: "降",
    pads: "触控板", gamepad: "手柄已连接", ended_stopped: "你醒了。", ended_idle: "{n} 秒没有操作，梦结束了。", ended_failed: "梦断了。", ended_long: "一个梦最长十分钟。再开始一个吧。", ended_lost: "连接断开了。",
    recorded: "录下了 {n} 秒", in_gallery: "在画廊里打开", stage: "梦：按键在这里移动镜头", drive_idle: "没有在做梦。", driving_unknown: "模型没见过：{words}",
    futures_title: "接下来会怎样", futures_text: "一个过去，几个未来。选一段视频和其中一刻。", futures_pick: "过去", futures_drop: "或拖入视频",
    futures_none: "先造一个梦，或把视频拖到这里。", moment: "那一刻", moment_text: "过去止于 {t} 秒", moment_end: "过去止于视频的结尾，{t} 秒",
    count: "几个", ahead: "多远", actions: "镜头怎么动", chance: "不动：只凭偶然", fan: "各不相同", same: "全都一样", futures_words: "然后（可以不写）",
    futures_hint: "球从桌上掉下来", see: "看未来", future_n: "未来 {n}", tracks: "轨迹", scrub: "时间，同时在所有未来里", past_mark: "过去止于此", earlier: "以前的未来",
    futures_of: "{n} 个未来 · {prompt}", no_futures: "几个未来会并排出现在这里。", each: "未来 {n} 的镜头",
    e_network: "连不上服务器。它还在运行吗？", e_again: "重试", e_full: "服务器正忙：请 {n} 秒后再试。", e_many: "实时座位都满了，请一分钟后再试。", e_unsupported: "这台服务器没有实时通道。",
  },
};

export const EXAMPLES = {
  en: ["a red ball falls on a table and bounces", "a dog walks in from the left", "a blue box slides to the right", "a row of dominoes topples",
    "a green ball rolls behind a wall", "a person in purple walks in", "a bird flies by over the lawn", "a basketball goes through the hoop"],
  zh: ["一个红球落下", "一只狗从左边走进来", "一个蓝色箱子滑向右边", "一排多米诺骨牌倒下", "一个绿球滚到墙后面", "一只鸟飞过草地"],
};

let current = localStorage.getItem("reverie.language") || (/^zh/i.test(navigator.language) ? "zh" : "en");
if (!TEXTS[current]) current = "en";
const listeners = [];

export const language = () => current;

export function say(key, values = {}) {
  const text = TEXTS[current][key] ?? TEXTS.en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
}

// Whether a key has a text, in every language: what the tests hold the page to.
export const keys = () => Object.fromEntries(Object.entries(TEXTS).map(([name, texts]) => [name, Object.keys(texts)]));

export function words(root = document) {
  const all = root.querySelectorAll("[data-t], [data-t-label], [data-t-title], [data-t-placeholder]");
  for (const element of [root, ...all]) {
    const { t, tLabel, tTitle, tPlaceholder } = element.dataset ?? {};
    const values = element.said ?? {};
    if (t) element.textContent = say(t, values);
    if (tLabel) {
      element.setAttribute("aria-label", say(tLabel, values));
      if (element.matches("button, a")) element.title = say(tLabel, values); // what is only a picture says what it does
    }
    if (tTitle) element.title = say(tTitle, values);
    if (tPlaceholder) element.placeholder = say(tPlaceholder, values);
  }
}

export function setLanguage(name) {
  current = name;
  localStorage.setItem("reverie.language", name);
  document.documentElement.lang = name === "zh" ? "zh-CN" : "en";
  words();
  for (const listener of listeners) listener(name);
}

export const onLanguage = (listener) => listeners.push(listener);
