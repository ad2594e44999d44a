// Which connections are listed. It is kept in the address behind `#`, so that it can be passed on.

const controls = {
  text: document.getElementById("text"),
  verdict: document.getElementById("verdict"),
  failed: document.getElementById("failed"),
};

/** What the controls say: { text, verdict, failed }. */
function selection() {
  return { text: controls.text.value.trim(), verdict: controls.verdict.value, failed: controls.failed.checked };
}

/** Sets the controls to what the address says; returns the numbers of the connections that it opens. */
function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  controls.text.value = asked.get("text") ?? "";
  const verdict = asked.get("verdict") ?? "";
  controls.verdict.value = [...controls.verdict.options].some((option) => option.value === verdict) ? verdict : "";
  controls.failed.checked = asked.get("failed") === "1";
  return new Set((asked.get("open") ?? "").split(",").filter((id) => /^[0-9a-f]{16}$/.test(id)));
}

function writeAddress(opened) {
  const { text, verdict, failed } = selection();
  const asked = new URLSearchParams();
  if (verdict) asked.set("verdict", verdict);
  if (text) asked.set("text", text);
  if (failed) asked.set("failed", "1");
  if (opened.size > 0) asked.set("open", [...opened].join(","));
  history.replaceState(null, "", "#" + asked.toString().replaceAll("%2C", ","));
}

/** All words have to be found, in whatever order. */
function matching(rows, { text, verdict, failed }) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter((row) => {
    if (verdict && row.code !== verdict) return false;
    if (failed && row.outcome === "success") return false;
    if (words.length === 0) return true;
    row.searched ??= [row.code, row.client, row.dialled, row.translated, row.words, row.sentence, row.id].join(" ")
      .toLowerCase();
    return words.every((word) => row.searched.includes(word));
  });
}

/** The verdicts that there are, with how many have them. */
function offerVerdicts(rows) {
  const counts = new Map();
  for (const row of rows) counts.set(row.code, (counts.get(row.code) ?? 0) + 1);
  for (const [code, count] of [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))) {
    controls.verdict.append(element("option", { value: code }, `${code} (${count})`));
  }
}
