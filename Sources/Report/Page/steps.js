// The steps of a connection as a table: all that the ladder tells, and more, for those who do not see it.

const STEP_COLUMNS = [
  ["offset", "Time", (step) => [
    step.isConcluded ? element("abbr", { class: "concluded", title: "concluded from later steps" }, "~") : null,
    "+" + milliseconds(step.offset),
  ]],
  ["stage", "Stage", (step) => [step.stage]],
  ["what", "What happened", (step, isEnd, details) => [
    isEnd ? element("strong", { class: "end-word" }, endWords(details.outcome) + ": ") : null,
    step.what, step.remark ? element("span", { class: "remark" }, step.remark) : null,
  ]],
  ["packet", "Packet", (step) => [
    step.source ? `${step.role} ${step.source} → ${step.destination}` : "",
    step.numbers ? element("span", { class: "remark" }, step.numbers) : null,
  ]],
  ["netns", "Namespace", (step) => [step.netns]],
  ["device", "Device", (step) => [step.device]],
  ["function", "Function", (step) => [step.function]],
  ["backend", "Seen by", (step) => [step.isConcluded ? "concluded" : step.backend]],
  ["reason", "Reason", (step) => [step.reason]],
];

function stepsTable(details, captionText) {
  // A column that would be empty is none.
  const shown = STEP_COLUMNS.filter(([, , cells]) => (
    details.steps.some((step) => cells(step, false, details).some(Boolean))));
  const body = element("tbody", null);
  details.steps.forEach((step, index) => {
    const isEnd = index === details.end;
    body.append(element("tr", { class: step.tone + (isEnd ? " end" : "") + (step.isConcluded ? " concluded" : "") },
      ...shown.map(([name, , cells]) => element("td", { class: name }, ...cells(step, isEnd, details)))));
  });
  return element("table", { class: "steps" },
    element("caption", null, captionText),
    element("thead", null, element("tr", null,
      ...shown.map(([name, title]) => element("th", { scope: "col", class: name }, title)))),
    body);
}
