"""A headless Chromium that tells what went wrong in a page and what a page asked for."""

import base64
import json

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys  # noqa: F401  for the tests
from selenium.webdriver.support.ui import WebDriverWait

DRIVER = "/usr/bin/chromedriver"
# Seconds for what takes a moment, on a machine that does other things as well.
PATIENCE = 20


class Browser:
    def __enter__(self):
        options = webdriver.ChromeOptions()
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                         "--hide-scrollbars", "--no-first-run", "--disable-component-update",
                         "--disable-background-networking"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(service=Service(DRIVER), options=options)
        self.driver.set_page_load_timeout(60)
        self.driver.set_script_timeout(60)
        self.waiting = WebDriverWait(self.driver, PATIENCE, 0.02)
        return self

    def __exit__(self, *_):
        self.driver.quit()

    def open(self, path, width=1280, scheme="light", scripts=True):
        """Loads a page and waits until its list can be used."""
        self.driver.set_window_size(width, 900)
        # Narrower than a window may be.
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.command("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.driver.get("about:blank")
        self.forget()
        self.page = "file://" + path
        self.driver.get(self.page)
        if scripts:
            self.ready()

    def reload(self):
        self.driver.refresh()
        self.ready()

    def ready(self):
        self.until("document.documentElement.dataset.ready === 'true'", "the list never became usable")

    def command(self, name, **arguments):
        return self.driver.execute_cdp_cmd(name, arguments)

    def run(self, script):
        return self.driver.execute_script(script)

    def run_later(self, script):
        """A script that ends by `done(value)`."""
        return self.driver.execute_async_script("const done = arguments[arguments.length - 1];" + script)

    def until(self, condition, what):
        self.waiting.until(lambda driver: driver.execute_script(f"return {condition}"), what)

    def wait(self, selector):
        return self.waiting.until(lambda _: next(iter(self.all(selector)), None), f"there never was a {selector}")

    def open_all(self):
        """Opens every connection of the list, and waits for what is shown of them."""
        self.run("document.querySelectorAll('#list details').forEach(item => { item.open = true; })")
        self.until("document.querySelectorAll('.panel').length === document.querySelectorAll('#list details').length",
                   "not all are opened")

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector).text

    @property
    def address(self):
        return self.driver.current_url

    def keys(self, keys):
        self.driver.switch_to.active_element.send_keys(keys)

    def tab_to(self, selector, limit=60):
        """Goes there as a person without a mouse does."""
        here = f"document.activeElement.matches({json.dumps(selector)})"
        for _ in range(limit):
            if self.run(f"return {here}"):
                return
            self.driver.switch_to.active_element.send_keys(Keys.TAB)
        raise AssertionError(f"no way to {selector} by keyboard")

    def media(self, name):
        self.command("Emulation.setEmulatedMedia", media=name)

    def printed(self):
        """The page on A4, as PDF."""
        paper = self.command("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, printBackground=True)
        return base64.b64decode(paper["data"])

    def picture(self, path):
        """Of the whole page, not of the window."""
        size = self.command("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 6000), "scale": 1}
        data = self.command("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def forget(self):
        """What was logged so far counts no more."""
        self.driver.get_log("browser")
        self.driver.get_log("performance")

    def check_quiet(self):
        """No error or warning, and nothing asked for but the page."""
        said = [entry["message"] for entry in self.driver.get_log("browser")]
        asked = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"].split("#")[0]
                if url not in (getattr(self, "page", None), "about:blank"):
                    asked.append(url[:200])
        assert not said and not asked, f"console: {said}; asked for: {asked}"
