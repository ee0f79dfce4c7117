"""Plans as HTML: nothing unescaped, readable in both themes, no script, nothing from elsewhere."""

from __future__ import annotations

import json
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fix_notebook import run_in_kernel
from fix_plans import Grown, node, plan, trees, trees_with_init_plan
from hypothesis import given, settings
from playwright.sync_api import Page

from pgmonkey_magic.notebook.plan_view import plan_html
from pgmonkey_magic.results.plan import Plan
from pgmonkey_magic.results.plan.text import printable

TAGS = {"div", "span", "table", "thead", "tbody", "tr", "th", "td", "details", "summary"}


def busy() -> Plan:
    """A plan with every kind of row: marked, unmarked, never executed, with long conditions."""
    never = node("Index Scan", ms=0, rows=0, loops=0, Index_Name="i", Relation_Name="c", Parent_Relationship="Inner")
    scan = node(
        "Seq Scan", ms=20, rows=10, expected=9000, Relation_Name="t", Rows_Removed_by_Filter=99_990, Filter="x" * 300
    )
    init = node("Aggregate", ms=1, Subplan_Name="InitPlan 1", Parent_Relationship="InitPlan")
    join = node("Nested Loop", scan, never, ms=21, rows=10, expected=10, Parent_Relationship="Outer")
    root = node("Sort", init, join, ms=60, rows=10, expected=10, Sort_Space_Type="Disk", Sort_Space_Used=9)
    return plan(root, Execution_Time=70.0, Planning_Time=1.0, JIT={"Functions": 4, "Timing": {"Total": 30.0}})


class Reader(HTMLParser):
    """Collects the tags, the attributes and the text of a page."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


@settings(deadline=None, max_examples=60)
@given(trees() | trees_with_init_plan())
def test_nothing_of_any_plan_becomes_markup(grown: Grown) -> None:
    markup = plan_html(plan(grown.document(), Execution_Time=5.0, Settings=grown.json))
    reader = Reader(markup)
    assert set(reader.tags) <= TAGS
    assert reader.attributes == {"style"}
    assert markup.count("<") == 2 * len(reader.tags)  # each is opened and closed, and there is no other
    for each in grown.walk():
        if text := each.json.get("Filter"):
            assert printable(text) in reader.text


def test_texts_of_the_server_are_escaped_everywhere() -> None:
    evil = "</div><script>alert('&')</script>"
    keys = ("Relation Name", "Schema", "Alias", "Index Name", "Filter", "Odd", evil)
    made = plan(
        node(evil, ms=1, Subplan_Name=evil, Workers=[{"Worker Number": 0, evil: evil}], Output=[evil])
        | dict.fromkeys(keys, evil),
        Execution_Time=2.0,
        Triggers=[{"Trigger Name": evil, "Relation": evil, "Time": 2.0, "Calls": 1}],
        Settings={evil: evil},
    )
    markup = plan_html(made)
    assert "<script" not in markup
    assert set(Reader(markup).tags) <= TAGS
    assert Reader(markup).text.count(evil) > 10


def test_what_the_text_says_the_html_says_too() -> None:
    made = busy()
    text = Reader(plan_html(made)).text
    for each in made.root.walk():
        assert each.title in text
        for mark in each.marks:
            assert mark.short in text
            assert mark.sentence[1:] in text
    for said in ("Execution 70 ms", "never executed", "Compiling expressions (JIT) took 30 ms of 70 ms", "x" * 300):
        assert said in text


def test_bars_show_the_share() -> None:
    markup = plan_html(busy())
    assert "width:54.3%" in markup  # 38 of 70 ms
    assert "width:28.6%" in markup  # 20 of 70 ms


def test_it_comes_out_of_a_kernel() -> None:
    document = json.dumps([{"Plan": node("Sort", node("Seq Scan", ms=1, Parent_Relationship="Outer"), ms=2)}])
    (outputs,) = run_in_kernel(
        "from IPython.display import display, HTML\n"
        "from pgmonkey_magic.notebook.plan_view import plan_html\n"
        "from pgmonkey_magic.results.plan import read_plans\n"
        f"(plan,) = read_plans({document!r})\n"
        "display(HTML(plan_html(plan)))\n"
        "plan"
    )
    shown, value = outputs
    assert "<table" in shown["data"]["text/html"]
    assert "2   1.000  50              → 1      1  └─ Seq Scan" in value["data"]["text/plain"]


CONTRASTS = """() => {
    const parse = text => {
        const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
        return {r, g, b, a};
    };
    const over = (top, under) => ({
        r: top.r * top.a + under.r * (1 - top.a),
        g: top.g * top.a + under.g * (1 - top.a),
        b: top.b * top.a + under.b * (1 - top.a),
        a: 1,
    });
    const light = ({r, g, b}) => {
        const [x, y, z] = [r, g, b].map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const behind = element => element === null
        ? {r: 255, g: 255, b: 255, a: 1}
        : over(parse(getComputedStyle(element).backgroundColor), behind(element.parentElement));
    const opacity = element =>
        element === null ? 1 : getComputedStyle(element).opacity * opacity(element.parentElement);
    const found = [];
    for (const element of document.querySelectorAll("#plan *")) {
        const own = [...element.childNodes].filter(n => n.nodeType === 3 && n.textContent.trim());
        if (!own.length) continue;
        const ground = behind(element);
        const colour = parse(getComputedStyle(element).color);
        colour.a *= opacity(element);
        const [a, b] = [light(over(colour, ground)), light(ground)];
        found.push([own[0].textContent.trim(), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]);
    }
    return found;
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_text_can_be_read_in_both_themes(page: Page, theme: str) -> None:
    style = Path(sys.prefix, f"share/jupyter/lab/themes/@jupyterlab/theme-{theme}-extension/index.css").read_text()
    page.set_content(
        f'<style>{style} body {{background: var(--jp-layout-color0)}}</style><div id="plan">{plan_html(busy())}</div>'
    )
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 50
    # 4.5 : 1 is what WCAG 2 asks of text of this size
    assert [(text, round(ratio, 2)) for text, ratio in contrasts if ratio < 4.5] == []
