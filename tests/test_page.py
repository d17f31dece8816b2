"""The page in a real browser, over a real server with the shipped model: all three parts, by hand and by eye."""

import contextlib
import shutil
import time

import pytest
from server import ROOT, Server

playwright = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"]
PATIENCE = 240_000  # ms: on an idle machine all of it takes seconds
SLIDE = """([name, value]) => { const one = document.querySelector(name);
    one.value = value; one.dispatchEvent(new Event('input')); }"""


def until(page, expression):
    """Wait until the expression holds. The page's policy forbids it to evaluate one by itself, as Playwright would."""
    end = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never: {expression}"
        page.wait_for_timeout(50)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("page") / "data").start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(browser, url, part="dream", *, width=1280, height=800, wrong=None, **options):
    """A page that has loaded; what goes wrong in it fails the test, but for what ``wrong`` takes as expected."""
    context = browser.new_context(viewport={"width": width, "height": height}, locale=options.pop("locale", "en-US"),
                                  **options)
    page, trouble, asked = context.new_page(), [], []
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda line: trouble.append(f"{line.text} {line.location['url']}") if (
        line.type == "error" and "/preview" not in line.location["url"]) else None)  # there may be none
    page.on("request", lambda request: asked.append(request.url))
    if wrong is not None:
        wrong(page)
    page.goto(f"{url}/#{part}")
    page.wait_for_selector("#health[data-state] span:not(:empty), #ask[open]")
    try:
        yield page
    finally:
        context.close()
    assert wrong or not trouble, trouble
    assert all(one.startswith((url, "blob:", "data:")) for one in asked), "it asked another server for something"


@pytest.fixture(scope="module")
def made(browser, server):
    """The id of a video that was made by hand on the page: a second of a word that nobody knows."""
    with opened(browser, server.url) as page:
        page.fill("#dream textarea", "a red ball and a zorblax")
        page.wait_for_selector("#dream .behind mark")
        assert page.inner_text("#dream .behind mark") == "zorblax"
        assert "zorblax" in page.inner_text("#dream .unknown")
        page.locator("#dream .segments label").first.click()
        page.select_option("#dream select[name=size]", "64x64")
        page.locator("#dream .shot input[value=orbit_left]").check(force=True)
        page.locator("#dream textarea").press("Control+Enter")
        card = page.locator(".video").first
        card.wait_for()
        assert card.locator("progress").count() == 1
        page.wait_for_selector(".video[data-status=completed]")
        return card.get_attribute("data-id")


def test_a_sentence_becomes_a_video_that_plays_with_what_is_in_it(browser, server, made):
    with opened(browser, server.url) as page:
        page.wait_for_selector(".video[data-status=completed] img")
        assert "1 s" in page.inner_text(".video .facts")
        assert page.inner_text(".video .title") == "a red ball and a zorblax"
        page.locator(".video .screen").first.click()
        until(page, "document.querySelector('#viewer video').currentTime > 0.3")
        page.locator("#viewer input[value=imagined]").check(force=True)
        until(page, """() => {
            const canvas = document.querySelector('#viewer canvas');
            return canvas.width && canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
                .data.some(value => value);
        }""")
        page.wait_for_selector("#viewer .lane")  # the audit has come
        assert page.locator("#viewer .verdict").inner_text()
        page.locator("#viewer video").evaluate("film => film.pause()")
        lane = page.locator("#viewer .lane").first.bounding_box()
        page.mouse.click(lane["x"] + lane["width"] * 0.75, lane["y"] + lane["height"] - 2)
        until(page, "document.querySelector('#viewer video').currentTime > 0.6")
        assert "orbit left 30" in page.inner_text("#viewer header")
        page.keyboard.press("Escape")
        page.wait_for_selector("#viewer", state="hidden")


def test_the_growing_preview_and_deleting(browser, server, made):
    with opened(browser, server.url) as page:
        page.fill("#dream textarea", "a dog walks in")
        page.locator("#dream .segments label").last.click()  # a minute, so that there is something to see growing
        page.click("#dream .primary.big")
        growing = page.locator(".video[data-status=in_progress]").first
        growing.locator("img").first.wait_for()
        assert float(growing.locator("progress").get_attribute("value") or 0) < 100
        growing.locator(".tools button").last.click()
        page.click("#ask .danger")
        until(page, "document.querySelectorAll('.video').length === 1")


def test_remix_and_extend_are_jobs_of_their_own(browser, server, made):
    with opened(browser, server.url) as page:
        page.locator(f".video[data-id={made}] .tools button").first.click()
        assert page.input_value("#ask textarea") == "a red ball and a zorblax"
        page.fill("#ask textarea", "a blue ball")
        page.click("#ask .primary")
        page.wait_for_selector(".video:has-text('a blue ball') .badge:has-text('remix')")
        newest = page.locator(".video:has-text('a blue ball')")
        page.wait_for_selector(".video:has-text('a blue ball')[data-status=completed]")
        newest.locator(".tools button").last.click()
        page.click("#ask .danger")
        until(page, "document.querySelectorAll('.video').length === 1")


def test_a_picture_is_where_a_video_begins(browser, server, made, tmp_path):
    from PIL import Image

    Image.new("RGB", (64, 64), (120, 160, 200)).save(tmp_path / "sky.png")
    (tmp_path / "notes.txt").write_text("no picture")
    with opened(browser, server.url, wrong=lambda page: None) as page:
        page.set_input_files("#dream input[type=file]", tmp_path / "notes.txt")
        assert page.inner_text("#dream .dropfield .problem")
        page.set_input_files("#dream input[type=file]", tmp_path / "sky.png")
        page.wait_for_selector("#dream .given:has-text('sky.png')")
        sent = []
        page.route("**/v1/videos", lambda route: (sent.append(route.request.headers["content-type"]),
                                                  route.fulfill(status=400, json={"error": {"message": "as a test"}})))
        page.fill("#dream textarea", "a ball")
        page.click("#dream .primary.big")
        page.wait_for_selector("#dream .foot .problem:has-text('as a test')")
        assert sent[0].startswith("multipart/form-data")
        page.unroute("**/v1/videos")


PAD = """() => {
    window.hand = {axes: [0, 0, 0, 0], buttons: Array.from({length: 17}, () => ({value: 0}))};
    navigator.getGamepads = () => [null, {id: "a wheel", connected: true, ...window.hand}];
}"""


def drive_by_gamepad(page):
    """Each stick and trigger moves the camera; let go it stands, though a stick is not quite in its middle."""
    page.evaluate(PAD)
    page.wait_for_selector("#drive .good:has-text('Gamepad connected')")
    for hand, gauge in (("axes[2] = 0.9", "turning"), ("axes[1] = -0.8", "speed"), ("buttons[7].value = 1", "speed")):
        page.evaluate(f"() => {{ window.hand.{hand}; }}")
        until(page, f"parseFloat(document.querySelector('[data-gauge={gauge}]').textContent) > 0.2")
        page.evaluate("() => { window.hand.axes.fill(0.05); window.hand.buttons.forEach(one => { one.value = 0; }); }")
        until(page, f"parseFloat(document.querySelector('[data-gauge={gauge}]').textContent) === 0")
    page.evaluate("() => { navigator.getGamepads = () => []; }")


def test_driving_answers_keys_a_gamepad_words_and_is_recorded(browser, server, made):
    with opened(browser, server.url, "drive") as page:
        assert page.locator("#drive input[value=road]").is_disabled()
        assert "No model has learned it yet" in page.inner_text("#drive .worlds")
        page.fill("#drive textarea", "a yellow ball in a room")
        page.select_option("#drive select[name=size]", "64x64")
        page.click("#drive .primary.big")
        page.wait_for_selector("#drive .stage[data-frame]")
        look = """() => { const canvas = document.querySelector('#drive canvas');
            return [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]; }"""
        before = page.evaluate(look)
        page.keyboard.down("ArrowRight")
        page.wait_for_selector("#drive kbd.down")
        until(page, "document.querySelector('[data-gauge=turning]').textContent.match(/[1-9]/)")
        until(page, "document.querySelector('[data-gauge=latency]').textContent.match(/[1-9]/)")
        page.wait_for_timeout(500)
        after = page.evaluate(look)
        page.keyboard.up("ArrowRight")
        moved = sum(abs(a - b) > 12 for a, b in zip(before, after, strict=True)) / len(before)
        assert moved > 0.02, "the camera has not moved"
        drive_by_gamepad(page)
        page.click("#drive .record")
        page.wait_for_selector("#drive .record[aria-pressed=true]")
        page.fill("#drive .during input[type=text]", "a red ball falls")
        page.keyboard.press("Enter")
        page.wait_for_selector("#drive .said li:has-text('a red ball falls')")
        page.wait_for_timeout(700)
        page.click("#drive .during button:has-text('Stop')")
        page.click("#drive .kept a")  # to what was recorded, in the gallery
        until(page, "document.querySelector('#viewer video')?.duration > 0.3")
        assert page.locator("#viewer a.log").get_attribute("href").endswith("variant=log")
        log = page.evaluate("fetch(document.querySelector('#viewer a.log').href).then(a => a.text())")
        assert log.startswith("time_s,pan_deg_per_s") and "a red ball falls" in log


def test_futures_stand_side_by_side_under_one_clock(browser, server, made):
    with opened(browser, server.url, f"futures?video={made}") as page:
        until(page, "+document.querySelector('.moment input').max > 0.9")
        page.evaluate(SLIDE, [".moment input", 0.5])
        assert "0.50 s" in page.inner_text(".moment output")
        page.evaluate(SLIDE, ["#futures input[max='8']", 2])
        page.locator("#futures .segments label").first.click()
        page.select_option("#futures .composer select >> nth=0", "fan")
        assert page.locator(".moves select").count() == 2
        page.click("#futures .primary.big")
        until(page, "document.querySelectorAll('.future[data-status=completed] video').length === 2")
        until(page, "[...document.querySelectorAll('.future video')].every(film => film.duration > 1.4)")
        page.evaluate(SLIDE, [".scrubber input", 1.1])
        until(page, """[...document.querySelectorAll('.future video')].every(
            film => Math.abs(film.currentTime - 1.1) < 0.1)""")
        page.wait_for_selector(".past-mark")
        until(page, "[...document.querySelectorAll('.future canvas')].every(one => one.width > 0)")
        page.click(".clock .tool")
        until(page, "document.querySelectorAll('.future video')[1].currentTime > 1.2")


def test_every_word_is_there_in_both_languages(browser, server):
    with opened(browser, server.url) as page:
        keys = page.evaluate("import('/js/texts.js').then(texts => texts.keys())")
        assert sorted(keys["en"]) == sorted(keys["zh"])
        used = page.evaluate("""[...document.querySelectorAll('*')].flatMap(element =>
            ['t', 'tLabel', 'tTitle', 'tPlaceholder'].map(name => element.dataset?.[name])).filter(Boolean)""")
        assert set(used) <= set(keys["en"])
        page.click("#language")
        assert page.inner_text("#tab-dream") == "造梦" and page.evaluate("document.documentElement.lang") == "zh-CN"
        page.reload()
        page.wait_for_selector("#tab-dream:has-text('造梦')")
    with opened(browser, server.url, locale="zh-CN") as page:
        assert page.inner_text("#tab-drive") == "驾驶"


def test_light_and_dark(browser, server):
    with opened(browser, server.url, color_scheme="dark") as page:
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        page.click("#theme")
        page.reload()
        assert page.evaluate("document.documentElement.dataset.theme") == "light"


@pytest.mark.parametrize("part, locale", [("dream", "en-US"), ("drive", "en-US"), ("futures", "zh-CN")])
def test_it_can_be_read_on_a_phone(browser, server, made, part, locale):
    with opened(browser, server.url, part, width=390, height=844, has_touch=True, locale=locale) as page:
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        small = page.evaluate("""[...document.querySelectorAll('main p, main label, main button, main a')]
            .filter(one => one.offsetParent && parseFloat(getComputedStyle(one).fontSize) < 10.5).length""")
        assert small == 0
        beyond = page.evaluate("""[...document.querySelectorAll('.segments label, select, .top .tool')].filter(
            one => {
                const box = one.getBoundingClientRect(), card = one.closest('.card')?.getBoundingClientRect();
                return box.width && (box.right > (card?.right ?? 390) || box.left < (card?.left ?? 0));
            }).length""")
        assert beyond == 0
        assert page.locator(".tabs").bounding_box()["y"] > 700 and page.locator(".mark").bounding_box()["y"] < 60


def test_the_keyboard_is_enough(browser, server):
    with opened(browser, server.url, "") as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.focus("#tab-dream")
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.id") == "tab-drive"
        page.wait_for_selector("#drive")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")  # faster than the parts change
        assert page.evaluate("document.activeElement.id") == "tab-dream"
        page.wait_for_selector("#dream")
        unnamed = page.evaluate("""[...document.querySelectorAll('button, a, input, select, textarea')].filter(one =>
            !(one.textContent.trim() || one.ariaLabel || one.labels?.length || one.type === 'file')).length""")
        assert unnamed == 0


def test_a_key_is_asked_for_once(browser, server):
    def guarded(page):
        let = {"in": False}

        def enter(route):
            let["in"] = route.request.post_data_json["key"] == "right"
            route.fulfill(status=204 if let["in"] else 401, body="")

        page.route("**/session", enter)
        page.route("**/v1/videos?*", lambda route: route.continue_() if let["in"] else route.fulfill(
            status=401, json={"error": {"message": "no key"}}))

    with opened(browser, server.url, wrong=guarded) as page:
        page.fill("#ask input", "wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("#ask .problem:not(:empty)")
        page.fill("#ask input", "right")
        page.keyboard.press("Enter")
        page.wait_for_selector("#ask", state="hidden")


def test_a_server_that_is_gone_is_told(browser, server):
    with opened(browser, server.url, wrong=lambda page: page.route("**/v1/**", lambda route: route.abort())) as page:
        page.wait_for_selector(".trouble:not([hidden])")
        assert page.locator("#health").get_attribute("data-state") == "offline"
        page.fill("#dream textarea", "a ball")
        page.click("#dream .primary.big")
        page.locator("#dream .foot .problem", has_text="cannot be reached").wait_for()


def test_a_model_can_be_chosen_where_there_are_several(browser, server, tmp_path):
    with opened(browser, server.url) as page:
        until(page, "document.querySelector('#dream select[name=model]').options.length == 1")
        assert not page.is_visible("#dream select[name=model]")
    mine = tmp_path / "mine"
    mine.mkdir()
    for path in (ROOT / "src/reverie/weights").glob("t*.safetensors"):
        (mine / path.name).symlink_to(path)
    running = Server(tmp_path / "data", "--model", "base", "--model", str(mine), fake=True).start()
    try:
        with opened(browser, running.url) as page:
            page.select_option("#dream select[name=model]", "mine")
            page.fill("#dream textarea", "a red ball")
            page.locator("#dream textarea").press("Control+Enter")
            page.locator(".video").first.wait_for()
        assert running.get("/v1/videos")[2]["data"][0]["model"] == "mine"
    finally:
        running.stop()


def test_a_server_that_dies_is_told_at_once_and_found_again(browser, tmp_path):
    own = Server(tmp_path / "data", fake=True).start()
    with opened(browser, own.url, wrong=lambda page: None) as page:
        page.wait_for_selector("#health[data-state=ready]")
        page.wait_for_timeout(1500)  # it is calm: the next look at the videos is many seconds off
        own.kill()
        began = time.monotonic()
        page.wait_for_selector("#health[data-state=offline]")
        assert time.monotonic() - began < 14, "as late as the next look at the videos; 2 on an idle machine"
        page.wait_for_selector(".trouble:has-text('cannot be reached')")
        own.start()
        page.wait_for_selector("#health[data-state=ready]")
        page.wait_for_selector(".trouble", state="hidden")
    own.stop()
