"""The prediction page, as people use it: choose, drop or paste a picture, and read what the network sees."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lnn.data.dataset import feature_shards, label_matrix, load_labels, standardize
from lnn.data.validation import examine_dataset
from lnn.models.inference import column_of_picture, predict
from lnn.models.model_file import Model
from lnn.network import Network, Optimizer, init_parameters, new_slots
from lnn.serving.requests import MAX_BYTES
from lnn.serving.rollout import Canary, Current
from support.browser_pages import violations, watched_pages
from support.models import brightness_model
from support.scaled_digits import STORED, picture_files, write_digits

if TYPE_CHECKING:
    from conftest import Site


@pytest.fixture
def open_page(browser: Any, site: Site) -> Iterator[Callable[..., Any]]:
    """Opens the page."""
    with watched_pages(browser) as opener:
        yield lambda path="", **how: opener(site.url, path, "#model dd, #message:not([hidden])", **how)


def picture(level: int = 230, size: tuple[int, int] = (40, 30), kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (level,) * 3).save(buffer, kind)
    return buffer.getvalue()


def file(name: str, kind: str, content: bytes) -> dict[str, Any]:
    return {"name": name, "mimeType": kind, "buffer": content}


def answer(page: Any) -> str:
    page.wait_for_selector("#result:not([hidden])")
    return str(page.text_content("#answer"))


def message(page: Any) -> str:
    page.wait_for_selector("#message:not([hidden])")
    assert not page.is_visible("#result")
    return str(page.text_content("#message"))


def transfer(page: Any, name: str, kind: str, content: bytes) -> Any:
    """A DataTransfer with one file, as drag and drop or the clipboard bring it."""
    script = """([name, kind, content]) => {
        const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], name, { type: kind }));
        return transfer;
    }"""
    return page.evaluate_handle(script, [name, kind, base64.b64encode(content).decode()])


def test_a_chosen_picture_is_shown_with_its_class_and_each_probability_as_a_bar(
    open_page: Callable[..., Any], site: Site, expect: Callable[..., Any]
) -> None:
    page = open_page()
    page.set_input_files("#file", file("day.png", "image/png", picture()))
    assert answer(page) == "light"
    assert page.locator("#classes .name").all_text_contents() == ["light", "dark"]
    assert page.locator("#classes .share").all_text_contents() == ["100.0%", "0.0%"]
    widths = page.eval_on_selector_all(
        "#classes .bar span", "bars => bars.map((bar) => bar.getBoundingClientRect().width)"
    )
    assert widths[0] > 50 > widths[1]
    assert page.get_attribute("#picture", "alt") == "Your picture, day.png"
    expect(page.locator("#picture")).to_have_js_property("naturalWidth", 40)
    assert site.shelves.in_use.production in page.text_content("#by")
    assert "in production" in page.text_content("#by")
    assert site.bodies == [picture()]


def test_the_same_file_can_be_chosen_twice_and_another_after_it(
    open_page: Callable[..., Any], site: Site, expect: Callable[..., Any]
) -> None:
    page = open_page()
    for level, expected in ((230, "light"), (230, "light"), (20, "dark")):
        with page.expect_response("**/predict?*"):
            page.set_input_files("#file", file("a.png", "image/png", picture(level)))
        expect(page.locator("#answer")).to_have_text(re.compile(f"^{expected}"))
    assert len(site.bodies) == 3


def test_a_dropped_picture_is_answered(open_page: Callable[..., Any]) -> None:
    page = open_page()
    dropped = transfer(page, "night.webp", "image/webp", picture(10, kind="WEBP"))
    page.dispatch_event("#drop", "dragover", {"dataTransfer": dropped})
    assert "dragging" in page.get_attribute("body", "class")
    page.dispatch_event("#drop", "drop", {"dataTransfer": dropped})
    assert answer(page) == "dark"
    assert "dragging" not in page.get_attribute("body", "class")


def test_a_drop_without_a_file_says_so(open_page: Callable[..., Any]) -> None:
    page = open_page()
    nothing = page.evaluate_handle("() => new DataTransfer()")
    page.dispatch_event("body", "drop", {"dataTransfer": nothing})
    assert "no file" in message(page)


def test_a_pasted_picture_is_answered(open_page: Callable[..., Any], site: Site) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    script = """async (content) => {
        const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
        const item = new ClipboardItem({ "image/png": new Blob([bytes], { type: "image/png" }) });
        await navigator.clipboard.write([item]);
    }"""
    page.evaluate(script, base64.b64encode(picture()).decode())
    page.keyboard.press("Control+V")
    assert answer(page) == "light"


def test_a_text_file_is_told_to_be_no_picture_and_not_sent(open_page: Callable[..., Any], site: Site) -> None:
    page = open_page()
    page.set_input_files("#file", file("notes.txt", "text/plain", b"hello"))
    assert message(page) == "notes.txt is not a picture."
    assert site.bodies == []


def test_a_text_file_with_a_picture_s_name_is_told_by_the_api(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.set_input_files("#file", file("notes.png", "image/png", b"hello"))
    assert "not a picture in a format that can be read" in message(page)


def test_a_damaged_picture_and_then_a_good_one(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.set_input_files("#file", file("cut.png", "image/png", picture(size=(300, 300))[:400]))
    assert "damaged" in message(page)
    page.set_input_files("#file", file("day.png", "image/png", picture()))
    assert answer(page) == "light"
    assert not page.is_visible("#message")


def test_a_picture_of_10_megabytes_is_made_smaller_before_it_is_sent(
    open_page: Callable[..., Any], site: Site, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(150, 256, size=(2000, 2000, 3), dtype=np.uint8)
    large = tmp_path / "large.png"
    Image.fromarray(noise).save(large, compress_level=1)
    assert large.stat().st_size > 10_000_000
    page = open_page()
    page.set_input_files("#file", large)
    assert answer(page).startswith("light")
    (sent,) = site.bodies
    assert len(sent) < MAX_BYTES
    with Image.open(io.BytesIO(sent)) as smaller:
        assert smaller.size == (1024, 1024)


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(2_000_000)


@pytest.mark.parametrize(
    ("name", "kind", "content", "reason"),
    [
        ("large.png", "image/png", picture()[:60] + bytes(2_000_000), "damaged"),
        ("IMG_0001.jpg", "image/jpeg", HEIC, "a HEIC picture, as iPhones take them"),
        ("IMG_0001.heic", "", HEIC, "a HEIC picture, as iPhones take them"),
        ("small.jpg", "image/jpeg", HEIC[:500], "a HEIC picture, as iPhones take them"),
        ("drawing.svg", "image/svg+xml", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        ("scan.tif", "image/tiff", picture(kind="TIFF"), "begins as a TIFF picture does"),
    ],
)
def test_of_what_the_browser_cannot_read_the_api_says_what_it_is(
    open_page: Callable[..., Any], site: Site, name: str, kind: str, content: bytes, reason: str
) -> None:
    page = open_page()
    page.set_input_files("#file", file(name, kind, content))
    assert reason in message(page)
    (sent,) = site.bodies
    assert sent == content[:1_000_000]


def test_16_bits_are_not_made_8_before_the_api_has_seen_them(
    open_page: Callable[..., Any], site: Site, tmp_path: Path
) -> None:
    """12 bits in a PNG of 16: made smaller by the browser, it would be nearly black, and answered."""
    deep = tmp_path / "deep.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 4096, (1000, 1000), dtype=np.uint16)).save(deep)
    assert deep.stat().st_size > 1_000_000
    page = open_page()
    page.set_input_files("#file", deep)
    assert "12 bits were not scaled to 16" in message(page)
    assert site.bodies == [deep.read_bytes()]


def test_a_format_that_only_the_browser_knows_is_turned_into_one_that_the_api_reads(
    open_page: Callable[..., Any], site: Site
) -> None:
    page = open_page()
    page.set_input_files("#file", file("day.bmp", "image/bmp", picture(kind="BMP")))
    assert answer(page) == "light"
    assert site.bodies[0].startswith(b"\x89PNG")


def test_the_keyboard_is_enough(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.on("filechooser", lambda _: None)  # that of `expect_file_chooser` may come into force after the key
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    outline = page.evaluate("getComputedStyle(document.getElementById('drop')).outlineStyle")
    assert outline == "solid"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files([file("day.png", "image/png", picture())])
    assert answer(page) == "light"


@pytest.mark.parametrize("path", ["staging/", "staging"])
def test_the_page_of_staging_says_so_and_asks_the_model_under_review(
    open_page: Callable[..., Any], site: Site, path: str
) -> None:
    page = open_page(path)
    assert "under review" in page.text_content("#stage")
    page.set_input_files("#file", file("day.png", "image/png", picture()))
    answer(page)
    assert f"{site.shelves.in_use.staging}, in staging" in page.text_content("#by")
    page.click("#other")
    page.wait_for_url(site.url)
    assert not page.is_visible("#stage")


def test_a_canary_is_told(open_page: Callable[..., Any], site: Site) -> None:
    in_use = site.shelves.in_use
    site.shelves.in_use = replace(in_use, canary=Canary(str(in_use.staging), 10))
    site.renew()
    assert "answers 10%" in open_page().text_content("#model")


def test_a_stage_without_a_model_says_so_and_takes_no_picture(open_page: Callable[..., Any], site: Site) -> None:
    site.shelves.in_use = Current()
    site.renew()
    page = open_page()
    assert message(page) == "No model is in production yet."
    assert page.is_disabled("#file")


def trained_on(dataset: Path) -> Model:
    """A network after some epochs on a dataset, as a run makes it: on the scale that its check found."""
    summary = examine_dataset(dataset)
    rows = np.empty((summary.m, summary.features))
    for shard in feature_shards(dataset, "train_set_x", summary.features, summary.m):
        standardize(shard, summary.scale, rows)
    Y = label_matrix(load_labels(dataset, "train_set_y"), 10, "float64")
    sizes, activations, optimizer = [summary.features, 16, 10], ["tanh", "softmax"], Optimizer("adam", 0.02)
    network, parameters = Network(sizes, activations), init_parameters(sizes, activations, "auto", 0, "float64")
    slots = new_slots(parameters, optimizer)
    for t in range(1, 61):
        network.train_step(parameters, slots, rows.T, Y, optimizer, t)
    return Model(
        *(parameters, "digits", activations, summary.classes, summary.image_shape, summary.scale, summary.value_range),
        border=summary.border,
    )


def many_classes() -> Model:
    """Thirty classes, of which `<b>29</b>` has most of the probability."""
    return Model(
        parameters=[(np.zeros((30, 16)), np.arange(30.0)[:, np.newaxis])],
        run_id="many",
        activations=["softmax"],
        list_classes=[f"<b>{number}</b>" for number in range(30)],
        image_shape=(4, 4),
        scale=255.0,
    )


def test_of_many_classes_the_likeliest_are_shown_and_their_names_are_text(
    open_page: Callable[..., Any], site: Site
) -> None:
    site.shelves.models["many-1"] = many_classes()
    site.shelves.in_use = Current(9, production="many-1")
    site.renew()
    page = open_page()
    page.set_input_files("#file", file("day.png", "image/png", picture()))
    assert answer(page) == "<b>29</b>"
    assert page.locator("#classes .share").first.text_content() == "63.2%"
    assert page.locator("#classes li").count() == 10
    page.click("summary")
    assert page.locator("#more li").count() == 20
    assert page.locator("#result b").count() == 0


@pytest.mark.parametrize("way", STORED)
def test_a_digit_has_one_answer_however_the_digits_were_stored_that_the_model_learned_from(
    open_page: Callable[..., Any], site: Site, expect: Callable[..., Any], tmp_path: Path, way: str
) -> None:
    models = {name: trained_on(write_digits(tmp_path / f"{number}.h5", name, 1)) for number, name in enumerate(STORED)}
    site.shelves.models["digits-1"] = models[way]
    site.shelves.in_use = Current(9, production="digits-1")
    site.renew()
    page = open_page()
    for content in picture_files(4):
        pixels = np.asarray(Image.open(io.BytesIO(content)))
        (said,) = predict(models["uint8"], column_of_picture(models["uint8"], pixels)[:, np.newaxis])
        with page.expect_response("**/predict?*"):
            page.set_input_files("#file", file("digit.png", "image/png", content))
        expect(page.locator("#answer")).to_have_text(said.classes[said.index])
        expect(page.locator("#classes .share").first).to_have_text(f"{max(said.probabilities):.1%}")


@pytest.fixture
def digits_page(open_page: Callable[..., Any], site: Site, tmp_path: Path) -> Any:
    """The page of a model that has learned light digits on black."""
    site.shelves.models["digits-1"] = trained_on(write_digits(tmp_path / "d.h5", "uint8", 1))
    site.shelves.in_use = Current(9, production="digits-1")
    site.renew()
    return open_page()


def test_a_4_on_white_paper_is_answered_4_with_the_picture_as_the_network_saw_it(
    digits_page: Any, expect: Callable[..., Any]
) -> None:
    page = digits_page
    page.set_input_files("#file", file("four.png", "image/png", four_on_paper()))
    assert answer(page) == "4"
    expect(page.locator("#seen-size")).to_have_text("as the network saw it, 8 by 8 pixels")
    expect(page.locator("#invert")).to_be_checked()
    assert corner(page) < 40
    assert page.locator("#why li").count() == 8
    expect(page.locator("#why summary")).to_have_text("Neurons that spoke for 4, or against it")
    terms = [number.replace("\u2212", "-") for number in page.locator("#why .share").all_text_contents()]
    assert [abs(float(term)) for term in terms] == sorted((abs(float(term)) for term in terms), reverse=True)

    with page.expect_response("**/predict?explain=true&invert=never"):
        page.uncheck("#invert")
    page.wait_for_selector("body:not(.busy)")
    assert corner(page) > 215
    with page.expect_response("**/predict?explain=true&invert=always"):
        page.check("#invert")
    expect(page.locator("#answer")).to_have_text("4")


def test_a_digit_that_is_drawn_is_answered_when_the_pen_rests(digits_page: Any, expect: Callable[..., Any]) -> None:
    page = digits_page
    box = page.locator("#drawing").bounding_box()

    def stroke(*places: tuple[float, float]) -> None:
        for number, (x, y) in enumerate(places):
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=8)
            if number == 0:
                page.mouse.down()
        page.mouse.up()

    for line in FOUR:
        stroke(*line)
    assert answer(page) == "4"
    assert page.get_attribute("#picture", "alt") == "Your picture, drawing.png"
    page.click("#clear")
    paper = "(field) => new Set(field.getContext('2d').getImageData(0, 0, 256, 256).data).size"
    assert page.locator("#drawing").evaluate(paper) == 1


def test_a_finger_draws_and_does_not_scroll(digits_page: Any) -> None:
    box = digits_page.locator("#drawing").bounding_box()
    touch = {"pointerType": "touch", "pointerId": 7, "button": 0, "isPrimary": True, "bubbles": True}
    for kind, x in (("pointerdown", 0.5), ("pointermove", 0.51), ("pointerup", 0.51)):
        place = {"clientX": box["x"] + x * box["width"], "clientY": box["y"] + 0.1 * box["height"]}
        digits_page.evaluate(
            """([kind, how]) => {
                const field = document.getElementById("drawing");
                field.setPointerCapture = () => {};
                field.dispatchEvent(new PointerEvent(kind, how));
            }""",
            [kind, touch | place],
        )
    answer(digits_page)
    assert digits_page.locator("#drawing").evaluate("(field) => getComputedStyle(field).touchAction") == "none"


def corner(page: Any) -> int:
    """The first pixel of the picture as the network saw it."""
    script = """async (image) => {
        await image.decode();
        const context = new OffscreenCanvas(8, 8).getContext("2d");
        context.drawImage(image, 0, 0);
        return context.getImageData(0, 0, 1, 1).data[0];
    }"""
    return int(page.locator("#seen").evaluate(script))


FOUR = [[(0.55, 0.08), (0.2, 0.62), (0.85, 0.62)], [(0.62, 0.4), (0.58, 0.92)]]
"""The strokes of a 4, in shares of the field."""


def four_on_paper(side: int = 200) -> bytes:
    """A 4 as a pen writes it: dark, on white paper."""
    paper = Image.new("L", (side, side), 255)
    pen = ImageDraw.Draw(paper)
    for stroke in FOUR:
        pen.line([(x * side, y * side) for x, y in stroke], fill=20, width=side // 10, joint="curve")
    buffer = io.BytesIO()
    paper.save(buffer, "PNG")
    return buffer.getvalue()


PHONE = {"viewport": {"width": 320, "height": 640}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
LOOKS = {"light": {"color_scheme": "light"}, "dark": {"color_scheme": "dark"}, "phone": PHONE}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("path", ["", "staging/"])
def test_axe_finds_nothing_that_keeps_people_out(
    open_page: Callable[..., Any], tools: Path, look: str, path: str
) -> None:
    (axe,) = tools.rglob("axe.min.js")
    source = axe.read_text(encoding="utf-8")
    page = open_page(path, **LOOKS[look])
    found = []
    for content, seen in ((picture(), "#result"), (b"hello", "#message")):
        page.set_input_files("#file", file("a.png", "image/png", content))
        page.wait_for_selector(f"{seen}:not([hidden])")
        found += violations(page, source)
    assert found == []


def test_a_phone_s_width_is_enough(open_page: Callable[..., Any]) -> None:
    page = open_page(**PHONE)
    page.set_input_files("#file", file("a-very-long-name-of-a-picture.png", "image/png", picture(size=(900, 200))))
    answer(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_dark_and_light_follow_the_system(open_page: Callable[..., Any]) -> None:
    def background(scheme: str) -> str:
        page = open_page(color_scheme=scheme)
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light, dark = background("light"), background("dark")
    assert min(map(int, light[4:-1].split(","))) > 200
    assert max(map(int, dark[4:-1].split(","))) < 60


def test_the_page_shows_accuracy_with_base_rate_and_recall(open_page: Callable[..., Any], site: Site) -> None:
    figures = {"test_accuracy": 0.98, "base_rate": 0.98, "recall": "'dark' 100.0%, 'light' 0.0%"}
    record = {"model_id": "rare-1", "registered_at": 1.0, "image_shape": [4, 4], "remarks": ["no better"], **figures}
    site.shelves.models["rare-1"] = brightness_model()
    site.shelves.records["rare-1"] = record
    site.shelves.in_use = Current(9, production="rare-1")
    site.renew()
    facts = open_page().locator("#model").inner_text().split("\n")
    assert facts[-8:-2] == ["Test accuracy", "98.0%", "Base rate", "98.0%", "Recall", figures["recall"]]
    assert facts[-2:] == ["Warning", "no better"]


def test_a_model_of_regression_shows_its_numbers_by_name_and_its_test_errors(
    open_page: Callable[..., Any], site: Site
) -> None:
    biases = np.array([[12.5], [-3.0]])
    site.shelves.models["numbers-1"] = Model(
        [(np.zeros((2, 16)), biases)], "numbers", ["linear"], [], (4, 4), 255.0, None, ["<b>price</b>", "area"]
    )
    record = {"model_id": "numbers-1", "registered_at": 1.0, "test_rmse": 0.25, "test_r2": 0.9, "image_shape": [4, 4]}
    site.shelves.records["numbers-1"] = record
    site.shelves.in_use = Current(9, production="numbers-1")
    site.renew()
    page = open_page()
    assert page.locator("#model").inner_text().split("\n")[-4:] == ["Test RMSE", "0.25", "Test R2", "0.9"]
    page.set_input_files("#file", file("house.png", "image/png", picture()))
    assert answer(page).startswith("<b>price</b>: 12.5")
    assert page.locator("#classes li").all_inner_texts() == ["<b>price</b>\n12.5", "area\n-3"]
    assert page.locator("#result b").count() == 0
