"""The search page in a real browser: a picked image, a pasted code, marked bits, a key, an error."""

import shutil
import threading
import time
from contextlib import contextmanager

import numpy as np
import oracle
import pytest
import uvicorn
from hashnet.distributed.serving.app import create_app
from hashnet.distributed.serving.local import bind
from hashnet.distributed.serving.settings import ServiceSettings
from serving_samples import ADMIN_KEY, N_BITS, READ_KEY, Thumbnails, hexed, picture

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser():
    """A headless browser of this machine; skipped where there is none."""
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no browser here: none of {', '.join(BROWSERS)} is installed")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        # Containers rarely let a browser set up its own sandbox, and it only visits our page.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A new tab; whatever the page complains of on the console fails the test."""
    page = browser.new_page()
    page.set_default_timeout(10_000)
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.complaints = complaints
    yield page
    page.close()
    assert complaints == []


@contextmanager
def listening(app):
    """Serve ``app`` on a free port, from a thread."""
    config = uvicorn.Config(app, log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    with bind("127.0.0.1", 0) as socket:
        thread = threading.Thread(target=server.run, args=([socket],))
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            yield f"http://127.0.0.1:{socket.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join(10)


@pytest.fixture
def url(make_index):
    with listening(create_app(make_index(), ServiceSettings(max_k=300), Thumbnails())) as url:
        yield url


def rows(page):
    """The table as shown: (distance, key, id, bits that are marked as different)."""
    page.wait_for_selector("#result:not([hidden])")
    return page.eval_on_selector_all(
        "#neighbours tbody tr",
        """lines => lines.map(line => [
            Number(line.cells[1].textContent), line.cells[2].textContent, Number(line.cells[3].textContent),
            line.querySelector("svg").dataset.differing.split(" ").filter(Boolean).map(Number)])""",
    )


def wanted(data, query, distances, ids):
    """What the table should show, from the codes themselves."""
    codes, all_ids, _ = data
    by_id = dict(zip(all_ids.tolist(), codes, strict=True))
    differing = [np.flatnonzero(np.unpackbits(by_id[i] ^ query)).tolist() for i in ids.tolist()]
    return [
        [d, f"photos/{i}.jpg", i, bits]
        for d, i, bits in zip(distances.tolist(), ids.tolist(), differing, strict=True)
    ]


def test_a_pasted_code_finds_its_neighbours(page, url, data):
    codes, ids, queries = data
    page.goto(url)
    page.fill("#code", " ".join(hexed(queries[7:8])))
    page.fill("#k", "12")
    page.click("#search")
    distances, found = oracle.search(queries[7:8], codes, ids, 12)
    shown = rows(page)
    assert shown == wanted(data, queries[7], distances[0], found[0])
    assert all(len(bits) == distance for distance, _, _, bits in shown)
    assert "12 nearest codes" in page.inner_text("#summary")


def test_a_ball_shows_its_first_neighbours_and_counts_the_rest(page, url, data):
    codes, ids, queries = data
    page.goto(url)
    page.fill("#code", queries[0].tobytes().hex().upper())
    page.fill("#radius", str(N_BITS))
    page.click("#search")
    ((distances, found),) = oracle.search_radius(queries[:1], codes, ids, N_BITS)
    assert rows(page) == wanted(data, queries[0], distances[:200], found[:200])
    assert page.inner_text("#more") == "and 400 more"
    assert "600 codes within distance 64" in page.inner_text("#summary")


def test_a_picked_image_is_searched_at_once(page, url, data, tmp_path):
    codes, ids, _ = data
    image = picture(5)
    page.goto(url)
    page.get_by_text("600 codes of 64 bits").wait_for()
    page.set_input_files("#file", {"name": "five.png", "mimeType": "image/png", "buffer": image})
    shown = rows(page)
    query = page.inner_text("#query-hex")
    code = np.frombuffer(bytes.fromhex(query), dtype=np.uint8)
    distances, found = oracle.search(code[None, :], codes, ids, 10)
    assert shown == wanted(data, code, distances[0], found[0])
    assert page.is_visible("#preview")


def test_a_dropped_image_is_searched_at_once(page, url):
    page.goto(url)
    page.get_by_text("600 codes of 64 bits").wait_for()
    transfer = page.evaluate_handle(
        """bytes => { const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "five.png", {type: "image/png"}));
            return transfer; }""",
        list(picture(5)),
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
    assert len(rows(page)) == 10


def test_the_plan_is_shown(page, url, data, make_index):
    plan = make_index().explain(data[2][0], k=10).segments[0]
    page.goto(url)
    page.fill("#code", data[2][0].tobytes().hex())
    page.click("#search")
    page.wait_for_selector("#plan tbody tr")
    cells = page.locator("#plan tbody td").all_inner_texts()
    assert cells[2:4] == ["600", "scan" if plan.scan else "probe"]
    assert cells[5:8] == [f"{n:,}" for n in (plan.probes, plan.candidates, plan.verified)]


@pytest.mark.parametrize(
    ("code", "k", "message"),
    [("12", "5", "has 16 hex digits, not 2"), ("zz", "5", "0-9 and a-f"), ("", "5", "paste a code")],
)
def test_mistakes_are_explained_without_asking(page, url, code, k, message):
    page.goto(url)
    page.get_by_text("600 codes of 64 bits").wait_for()
    page.fill("#code", code)
    page.fill("#k", k)
    page.click("#search")
    page.wait_for_selector("#problem:not([hidden])")
    assert message in page.inner_text("#problem")


def test_an_error_of_the_service_is_shown(page, url):
    page.goto(url)
    page.get_by_text("600 codes of 64 bits").wait_for()
    # The form itself would not let this pass.
    page.evaluate("document.getElementById('question').noValidate = true")
    page.fill("#code", "0" * 16)
    page.fill("#k", "301")
    page.click("#search")
    page.wait_for_selector("#problem:not([hidden])")
    assert "k must be from 1 to 300" in page.inner_text("#problem")
    # The browser itself notes answers that are errors.
    page.complaints.clear()


def test_a_key_is_asked_for_and_used(page, make_index, keys, data):
    with listening(create_app(make_index(), ServiceSettings(keys=keys))) as url:
        page.goto(url)
        page.wait_for_selector("#key-row:not([hidden])")
        page.fill("#code", data[2][0].tobytes().hex())
        page.fill("#key", ADMIN_KEY)
        page.click("#search")
        page.wait_for_selector("#problem:not([hidden])")
        page.fill("#key", READ_KEY)
        page.click("#search")
        assert len(rows(page)) == 10
    page.complaints.clear()


def test_keys_of_sources_are_text_and_not_markup(page, data):
    from hashnet import Index

    index = Index.in_memory(n_bits=N_BITS)
    index.add(data[0][:1], keys=["<img src=x onerror=alert(1)>.jpg"])
    with listening(create_app(index)) as url:
        page.goto(url)
        page.fill("#code", data[0][0].tobytes().hex())
        page.fill("#k", "1")
        page.click("#search")
        assert rows(page)[0][1] == "<img src=x onerror=alert(1)>.jpg"


def test_the_page_of_the_api_lists_every_route(page, url):
    page.goto(f"{url}docs")
    page.wait_for_selector("section.route")
    routes = page.locator("section.route h3 code").all_inner_texts()
    assert {"/search", "/search_radius", "/encode", "/metrics", "/admin/reload"} <= set(routes)
    assert "k_out_of_range" in page.text_content("main")
