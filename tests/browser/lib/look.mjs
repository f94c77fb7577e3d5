// How a page looks: what axe finds, and what is cut off, sticks out or lies over something else.

import fs from "node:fs";
import { createRequire } from "node:module";

const AXE = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export async function axe(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return found.violations.map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`);
}

/** What is cut off, sticks out, or lies over something that is not its parent. Runs in the page, so it uses nothing from here. */
export function misplaced() {
  const wrong = [];
  const name = (node) => `${node.tagName.toLowerCase()}.${node.className} "${node.textContent.trim().slice(0, 40)}"`;
  const shown = (node) => node.checkVisibility() && !node.closest(".unseen, .skip") && node.getClientRects().length > 0;
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) wrong.push(`the page is ${document.documentElement.scrollWidth} wide`);
  const leaves = [...(document.querySelector("dialog[open]") ?? document.body).querySelectorAll("*")].filter((node) => shown(node) &&
    (node.matches("button, select, input, a, img") || (node.children.length === 0 && node.textContent.trim() !== "" && !node.closest("select, button, a"))));
  for (const node of leaves) {
    const box = node.getBoundingClientRect();
    if (box.left < -0.5 || box.right > width + 0.5) wrong.push(`sticks out: ${name(node)}`);
    const around = node.closest(".order, .item, .pay, .notice, .card");
    const edge = around?.getBoundingClientRect();
    const inner = around && node !== around && !node.matches("img") ? parseFloat(getComputedStyle(around.querySelector(".body") ?? around).paddingRight) : 0;
    if (edge && (box.right > edge.right - inner + 2 || box.bottom > edge.bottom + 0.5)) wrong.push(`sticks out of its box: ${name(node)}`);
    if (!node.matches("input, img, select") && (node.scrollWidth > node.clientWidth + 1 && node.clientWidth > 0)) wrong.push(`cut off: ${name(node)}`);
  }
  for (let i = 0; i < leaves.length; i += 1) {
    for (let j = i + 1; j < leaves.length; j += 1) {
      if (leaves[i].contains(leaves[j]) || leaves[j].contains(leaves[i])) continue;
      for (const a of leaves[i].getClientRects()) {
        for (const b of leaves[j].getClientRects()) {
          const over = Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
          if (over) wrong.push(`overlap: ${name(leaves[i])} and ${name(leaves[j])}`);
        }
      }
    }
  }
  return wrong;
}
