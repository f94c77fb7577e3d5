// An operator in a browser, on the console's page.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { openBrowser } from "./browser.mjs";
import { axe, misplaced } from "./look.mjs";
import { PATIENCE_MS, full, until, world } from "./world.mjs";

const PICTURES = process.env.BROWSER_PICTURES;
const WIDTHS = full ? [360, 768, 1440] : [360, 1440];

export class Operator {
  static async enter(scope = "operator.read") {
    const operator = new Operator();
    operator.troubles = [];
    operator.context = await (await openBrowser()).newContext({ viewport: { width: 1440, height: 900 }, locale: "en-US", reducedMotion: "reduce" });
    operator.context.setDefaultTimeout(PATIENCE_MS);
    operator.page = await operator.context.newPage();
    operator.page.on("pageerror", (error) => operator.troubles.push(error.message));
    operator.page.on("console", (message) => { if (message.type() === "error") operator.troubles.push(message.text()); });
    await operator.page.goto(`${await world.console()}/`);
    await operator.show(await world.console_token({ scope }));
    return operator;
  }

  async show(token) {
    await this.page.getByLabel("Token", { exact: true }).fill(token);
    await this.page.getByRole("button", { name: "Show the shop" }).click();
  }

  answer(question) {
    return this.page.locator(".answer", { hasText: question });
  }

  async says(question, text, state) {
    let said = "";
    await until(() => `"${question}" to say ${text}; it says ${said}`, async () => {
      said = `${await this.answer(question).innerText()} (${await this.answer(question).getAttribute("data-state")})`;
      return said.includes(text) && (state === undefined || said.endsWith(`(${state})`));
    });
  }

  /** Nothing is wrong with how it looks, wide and narrow, light and dark. Each is a picture. */
  async look(name) {
    for (const colorScheme of ["light", "dark"]) {
      for (const width of WIDTHS) {
        await this.page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await this.page.setViewportSize({ width, height: 900 });
        if (PICTURES) {
          fs.mkdirSync(PICTURES, { recursive: true });
          await this.page.screenshot({ path: path.join(PICTURES, `ops-${name}-${width}-${colorScheme}.png`), fullPage: true });
        }
        assert.deepEqual(await this.page.evaluate(misplaced), [], `${name} at ${width}, ${colorScheme}`);
        assert.deepEqual(await axe(this.page), [], `${name} at ${width}, ${colorScheme}`);
      }
    }
  }

  /** Keeps a text beside the pictures. */
  note(name, text) {
    if (PICTURES) fs.writeFileSync(path.join(PICTURES, `ops-${name}.txt`), text);
  }

  async leave() {
    await this.context.close();
  }
}
