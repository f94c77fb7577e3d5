"""Writes what was measured into docs/: the tables of strategies.md, between its marks, and a chart."""

import json
import math
import os

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
CHART = "100 passes, a gateway of 100 ms"
COLOURS = {"queue": "#0b7a5c"}
WIDTH, ROW, LEFT, RIGHT, TOP = 760, 34, 130, 150, 64


def as_markdown(tables, columns, cell):
    lines = ["![How long a buyer waits](strategies.svg)", ""] if CHART in tables else []
    for title, rows in tables.items():
        lines += [f"**{title}**", "", "| " + " | ".join(head for _, head, _ in columns) + " |",
                  "|---" + "|---:" * (len(columns) - 1) + "|"]
        lines += ["| " + " | ".join(cell(row, name) for name, _, _ in columns) + " |" for row in rows]
        lines.append("")
    return "\n".join(lines)


def scale(milliseconds, most):
    """Pixels, on a logarithmic scale that begins at 10 ms."""
    return max(0.0, math.log10(max(milliseconds, 10) / 10) / math.log10(most / 10)) * (WIDTH - LEFT - RIGHT)


def chart(rows):
    most = 10 ** math.ceil(math.log10(max(row["p99_ms"] for row in rows)))
    height = TOP + ROW * len(rows) + 40
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
             f'aria-label="How long buyers wait for their answer" font-family="system-ui, sans-serif">',
             f'<rect width="{WIDTH}" height="{height}" fill="#ffffff" rx="8"/>',
             '<text x="16" y="26" font-size="16" font-weight="600" fill="#1b1b1b">How long a buyer waits for the final answer</text>',
             f'<text x="16" y="46" font-size="12" fill="#555">1,000 buyers click at once for 100 passes, and the gateway '
             'takes 100 ms. Bar: median; line: 99 of 100. Log scale.</text>']
    tick = 10
    while tick <= most:
        x = LEFT + scale(tick, most)
        name = f"{tick} ms" if tick < 1000 else f"{tick // 1000} s"
        parts += [f'<line x1="{x:.0f}" x2="{x:.0f}" y1="{TOP - 6}" y2="{height - 30}" stroke="#e4e4e4"/>',
                  f'<text x="{x:.0f}" y="{height - 14}" font-size="11" fill="#666" text-anchor="middle">{name}</text>']
        tick *= 10
    for number, row in enumerate(rows):
        y = TOP + ROW * number
        colour = COLOURS.get(row["strategy"], "#8a94a6")
        p50, p99 = scale(row["p50_ms"], most), scale(row["p99_ms"], most)
        said = f'{row["p50_ms"]:,.0f} ms' if row["p50_ms"] < 1000 else f'{row["p50_ms"] / 1000:,.1f} s'
        if row["oversold"]:
            said += f', {row["oversold"]:,} oversold'
        parts += [f'<text x="{LEFT - 10}" y="{y + 18}" font-size="13" fill="#1b1b1b" text-anchor="end">{row["strategy"]}</text>',
                  f'<rect x="{LEFT}" y="{y + 5}" width="{max(p50, 2):.0f}" height="18" rx="3" fill="{colour}"/>',
                  f'<line x1="{LEFT + p50:.0f}" x2="{LEFT + p99:.0f}" y1="{y + 14}" y2="{y + 14}" stroke="{colour}" stroke-width="2"/>',
                  f'<text x="{LEFT + max(p50, p99) + 8:.0f}" y="{y + 18}" font-size="12" '
                  f'fill="{"#b3261e" if row["oversold"] else "#333"}">{said}</text>']
    return "\n".join(parts) + "\n</svg>\n"


def write(root, tables, columns, cell):
    docs = os.path.join(root, "docs")
    page = os.path.join(docs, "strategies.md")
    with open(page, encoding="utf-8") as source:
        head, _, rest = source.read().partition(BEGIN)
    _, _, tail = rest.partition(END)
    with open(page, "w", encoding="utf-8") as sink:
        sink.write(head + BEGIN + "\n\n" + as_markdown(tables, columns, cell) + "\n" + END + tail)
    with open(os.path.join(docs, "strategies.json"), "w", encoding="utf-8") as sink:
        json.dump(tables, sink, indent=1)
        sink.write("\n")
    if CHART in tables:
        with open(os.path.join(docs, "strategies.svg"), "w", encoding="utf-8") as sink:
            sink.write(chart(tables[CHART]))
