"""The page in a real browser, by eye, pointer and keyboard. Without Chromium these tests are skipped."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import samples

from meta_rl.report.files import Report
from meta_rl.report.page import write_page

pytest.importorskip("selenium", reason="needs selenium: pip install -r requirements-dev.txt")
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="needs chromium and chromedriver: apt-get install chromium chromium-driver",
)
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # no network
    "--window-size=1280,900",
)
PANEL = ".panel[data-points='points-0'][data-panel='0']"
CLIPBOARD = ["clipboardReadWrite", "clipboardSanitizedWrite"]  # asked for only by an automated browser
Driver = Any  # selenium may be missing


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    folder = tmp_path_factory.mktemp("page")
    write_page(samples.report(), folder)
    options = webdriver.ChromeOptions()
    for flag in FLAGS:
        options.add_argument(flag)
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.get((folder / "index.html").as_uri())
    yield driver
    driver.quit()


@pytest.fixture
def page(browser: Driver) -> Driver:
    """The page as it is at first, on a desk."""
    set_size(browser, 1280, 900)
    browser.get(browser.current_url.split("#")[0])
    return browser


def set_size(driver: Driver, width: int, height: int) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def one(driver: Driver, selector: str) -> Any:
    return driver.find_element(By.CSS_SELECTOR, selector)


def focused(driver: Driver) -> Any:
    return driver.switch_to.active_element


def live(driver: Driver, panel: str = PANEL) -> str:
    return one(driver, f"{panel} .live").get_attribute("textContent")


def test_every_panel_is_drawn(page: Driver) -> None:
    drawings = page.find_elements(By.CSS_SELECTOR, ".panel svg")
    assert len(drawings) == sum(len(chart.panels) for chart in samples.report().charts)
    assert all(d.size["width"] > 250 and d.size["height"] > 180 for d in drawings)


def test_nothing_leaves_the_file_and_nothing_is_wrong(browser: Driver) -> None:
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert asked
    assert all(url.startswith(("file:", "data:")) for url in asked)
    assert {url.split(",")[0] for url in asked} <= {browser.current_url, "data:"}
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert browser.get_log("browser") == []


def test_tab_reaches_the_skip_link_first_and_then_the_panels(page: Driver) -> None:
    keys = ActionChains(page)
    keys.send_keys(Keys.TAB).perform()
    assert focused(page).text == "Skip to the content"
    assert focused(page).location["x"] >= 0
    keys.send_keys(Keys.ENTER).perform()
    for _ in range(40):
        keys.send_keys(Keys.TAB).perform()
        if "panel" in (focused(page).get_attribute("class") or "").split():
            break
    assert focused(page) == one(page, PANEL)


def test_arrows_read_the_values(page: Driver) -> None:
    panel = one(page, PANEL)
    panel.send_keys(Keys.ARROW_RIGHT)
    assert live(page) == (
        "MAML, gradient steps: 0, mean episode return: -40, interval: -41.5 to -38.5, 5 seeds"
    )
    panel.send_keys(Keys.ARROW_RIGHT)
    assert live(page).startswith("MAML, gradient steps: 1, mean episode return: -20,")
    panel.send_keys(Keys.END)
    assert live(page).startswith("MAML, gradient steps: 3, mean episode return: -9.25,")
    panel.send_keys(Keys.ARROW_DOWN)
    assert live(page).startswith("FOMAML, gradient steps: 3, mean episode return: -8.25,")
    panel.send_keys(Keys.ARROW_UP, Keys.ARROW_LEFT)
    assert live(page).startswith("MAML, gradient steps: 2, mean episode return: -12,")
    assert one(page, f"{PANEL} .tooltip").is_displayed()
    panel.send_keys(Keys.ESCAPE)
    assert not one(page, f"{PANEL} .tooltip").is_displayed()


def test_pointing_shows_the_nearest_value(page: Driver) -> None:
    data = json.loads(one(page, "#points-0").get_attribute("textContent"))[0]
    reptile = next(entry for entry in data if entry["name"] == "Reptile")
    left, top = reptile["data"][1][:2]
    tooltip = one(page, f"{PANEL} .tooltip")
    assert not tooltip.is_displayed()
    point_at(page, left, top)
    assert tooltip.text.split("\n")[:3] == ["Reptile", "gradient steps: 1", "mean episode return: -14"]
    frame, ring = one(page, f"{PANEL} svg").rect, one(page, f"{PANEL} .ring").rect
    assert ring["x"] + ring["width"] / 2 == pytest.approx(frame["x"] + left * frame["width"] / 302.4, abs=1)
    oracle = next(entry for entry in data if entry["level"])
    point_at(page, oracle["data"][0][0] - 90, oracle["data"][0][1])  # a level is as near everywhere
    assert tooltip.text.split("\n")[:2] == ["oracle", "mean episode return: -2.3"]
    ActionChains(page).move_to_element(one(page, "h3")).perform()
    assert not tooltip.is_displayed()


def point_at(driver: Driver, left: float, top: float) -> None:
    """Move the pointer to a place in the units of the first panel's SVG."""
    svg = one(driver, f"{PANEL} svg")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", svg)
    size, unit = svg.size, svg.size["width"] / 302.4
    across, down = round(left * unit - size["width"] / 2), round(top * unit - size["height"] / 2)
    ActionChains(driver).move_to_element_with_offset(svg, across, down).perform()


def test_touching_shows_the_value(page: Driver) -> None:
    data = json.loads(one(page, "#points-0").get_attribute("textContent"))[0]
    left, top = data[0]["data"][1][:2]
    svg = one(page, f"{PANEL} svg")
    page.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", svg)
    frame = page.execute_script("return arguments[0].getBoundingClientRect().toJSON()", svg)
    unit = frame["width"] / 302.4
    finger = [{"x": frame["x"] + left * unit, "y": frame["y"] + top * unit}]
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": finger})
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert one(page, f"{PANEL} .tooltip").text.split("\n")[:2] == ["MAML", "gradient steps: 1"]


def test_the_legend_hides_a_series_from_eye_and_keyboard(page: Driver) -> None:
    button = one(page, "figure .legend button[data-series='0']")
    button.send_keys(Keys.ENTER)
    assert button.get_attribute("aria-pressed") == "false"
    lines = page.find_elements(By.CSS_SELECTOR, "figure:first-of-type .panel [data-series='0']")
    assert len(lines) == 4  # in each of two panels a line and a band
    assert not any(line.is_displayed() for line in lines)
    one(page, PANEL).send_keys(Keys.ARROW_RIGHT)
    assert live(page).startswith("FOMAML")
    button.send_keys(Keys.SPACE)
    assert button.get_attribute("aria-pressed") == "true"
    assert all(line.is_displayed() for line in lines)


def test_enlarging_by_keyboard_and_back(page: Driver) -> None:
    button, dialog = one(page, "[data-enlarge]"), one(page, "dialog")
    button.send_keys(Keys.ENTER)
    assert dialog.is_displayed()
    assert one(page, "dialog h2").text == samples.adaptation().title
    assert one(page, "dialog .panel svg").size["width"] > one(page, f"main {PANEL} svg").size["width"]
    one(page, f"dialog {PANEL}").send_keys(Keys.ARROW_RIGHT)
    assert live(page, f"dialog {PANEL}").startswith("MAML, gradient steps: 0")
    focused(page).send_keys(Keys.ESCAPE)
    assert not dialog.is_displayed()
    assert focused(page) == button


@pytest.mark.parametrize("width", [360, 700, 1280])
def test_the_page_never_scrolls_sideways_and_text_is_legible(page: Driver, width: int) -> None:
    set_size(page, width, 800)
    page.execute_script("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    for button in page.find_elements(By.CSS_SELECTOR, "[data-enlarge]")[:1]:
        button.send_keys(Keys.ENTER)
    assert page.execute_script("return document.scrollingElement.scrollWidth") <= width
    sizes = page.execute_script(
        """return [...document.querySelectorAll("main .panel svg")].map((svg) => {
             const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
             const texts = [...svg.querySelectorAll("text")];
             return scale * Math.min(...texts.map((t) => parseFloat(getComputedStyle(t).fontSize)));
           })"""
    )
    assert len(sizes) == 8
    assert min(sizes) >= 9


def test_drawings_follow_dark_mode(page: Driver) -> None:
    def look() -> list[str]:
        return page.execute_script(
            """const css = (s, name) => getComputedStyle(document.querySelector(s))[name];
               const drawing = [css(".panel svg text", "fill"), css(".panel svg use", "stroke")];
               return [css("body", "backgroundColor"), ...drawing];"""
        )

    light = look()
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    darkness = look()
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert light == ["rgb(255, 255, 255)", *["rgb(28, 32, 36)"] * 2]
    assert darkness == ["rgb(20, 23, 26)", *["rgb(228, 231, 234)"] * 2]


def test_hostile_names_stay_text(page: Driver) -> None:
    assert samples.HOSTILE in one(page, "header").text
    assert samples.HOSTILE in one(page, ".runs tbody th").text
    entries = [e.text for e in page.find_elements(By.CSS_SELECTOR, ".legend button")]
    assert samples.HOSTILE in entries
    panel = ".panel[data-points='points-3']"
    one(page, panel).send_keys(Keys.ARROW_RIGHT, *[Keys.ARROW_DOWN] * 5)
    assert live(page, panel).startswith(samples.HOSTILE)
    assert one(page, f"{panel} .tooltip").text.startswith(samples.HOSTILE)
    scripts = "return [...document.scripts].filter((s) => s.textContent.startsWith('alert')).length"
    assert page.execute_script(scripts) == 0


def test_a_copied_command_is_exact(page: Driver) -> None:
    one(page, ".how summary").send_keys(Keys.ENTER)
    page.execute_cdp_cmd("Browser.grantPermissions", {"permissions": CLIPBOARD})
    button = one(page, ".command button")
    button.click()
    WebDriverWait(page, 10).until(lambda _: button.text == "copied")
    copied = page.execute_async_script("navigator.clipboard.readText().then(arguments[0], arguments[0])")
    assert copied == samples.report().runs[0].commands[0]


def test_a_page_without_anything_has_no_errors(browser: Driver, tmp_path: Path) -> None:
    back = browser.current_url
    write_page(Report("Nothing", (), pd.DataFrame(), (), (), ()), tmp_path)
    browser.get_log("browser")
    browser.get((tmp_path / "index.html").as_uri())
    one(browser, "main").click()
    assert browser.get_log("browser") == []
    browser.get(back)
