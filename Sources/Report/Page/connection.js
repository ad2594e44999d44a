// What is shown of a connection when it is opened: verdict, ladder, steps.

async function connectionPanel(row) {
  const details = await readDetails(row.block, row.index);
  const ladderID = "ladder-" + row.id;
  const earlier = details.earlier ? await readDetails(...details.earlier) : null;
  const panel = element("div", { class: "panel" }, verdictOf(row, details));
  if (earlier) {
    panel.append(element("p", { class: "earlier" },
      element("strong", null, "What happened since has changed the verdict. "),
      "Before, it was ", badge(earlier.code, earlier.outcome), " " + earlier.sentence));
  }
  if (details.steps.length > 0) {
    const count = details.steps.length + (details.steps.length === 1 ? " step" : " steps");
    const drawing = ladder(details, ladderID);
    panel.append(
      element("h3", { id: ladderID }, "Its way, as a ladder: " + count + ", time runs downwards"),
      scrolling("Ladder", drawing), legend(details, drawing),
      element("h3", null, "Its way, step by step"),
      scrolling("Steps", stepsTable(details, count + ", in the order of time. ~ marks what was concluded, not seen.")));
  } else {
    panel.append(hint("Its steps were left out, because there was too much to do when it was recorded."));
  }
  if (details.omitted > 0) panel.append(hint(`… ${details.omitted} later steps were not kept.`));
  panel.append(hint(`Connection ${row.id}, community id ${details.community}`));
  return panel;
}

function hint(text) {
  return element("p", { class: "hint" }, text);
}

function verdictOf(row, details) {
  const list = element("dl", { class: "verdict" });
  const item = (name, ...content) => {
    list.append(element("div", null, element("dt", null, name), element("dd", null, ...content)));
  };
  item("why", element("strong", null, details.sentence));
  if (row.isIncomplete) item("doubtful", "Observations were lost while it was under way: steps may be missing.");
  if (details.outcome !== "success") {
    if (details.where) item("where", details.where);
    if (details.checked) item("checked", details.checked);
  }
  if (details.rule && !details.evidence.includes(details.rule)) item("rule", element("code", null, details.rule));
  if (details.evidence.length > 0) item("evidence", textList(details.evidence));
  if (details.advice.length > 0) item("change", textList(details.advice.map(advice)));
  return list;
}

function textList(entries) {
  return element("ul", null, ...entries.map((entry) => element("li", null, ...[entry].flat())));
}

/** A sentence, and the command in it, which can be copied where a shell takes its words as words. */
function advice({ before, command, after, isPlain }) {
  if (!command) return before;
  const parts = [before, element("code", { class: "command" }, command)];
  if (isPlain && navigator.clipboard) parts.push(" ", copyButton(command));
  return after ? [...parts, after] : parts;
}

function copyButton(command) {
  const button = element("button", { type: "button", class: "copy", "aria-label": "Copy: " + command }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(command);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not copied: select it instead";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  return button;
}

/** What is wider than the page scrolls in itself, also by keyboard. */
function scrolling(name, content) {
  return element("div", { class: "scrolling", role: "region", "aria-label": name, tabindex: "0" }, content);
}

/** What the marks of this ladder mean. */
function legend(details, drawing) {
  const words = ["● seen"];
  if (details.steps.some((step) => step.isConcluded)) words.push("○ ~ concluded from later steps");
  if (details.steps.some((step) => step.tone === "rewrite")) words.push("◆ rewritten");
  if (details.steps.some((step) => step.tone === "failure")) words.push("■ dropped, reset or rejected");
  if (details.end >= 0) words.push("✗ in a circle: where it ended");
  if (drawing.querySelector(".unseen")) words.push("dashed: not observed");
  return element("p", { class: "hint legend" }, words.join("   "));
}
