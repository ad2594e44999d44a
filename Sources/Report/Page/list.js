// The list of connections. Rows are made a portion at a time, when they come into sight; what a row opens to is made
// when it is opened.

const PORTION = 100;
/** So many are made for printing, if a filter leaves no more. */
const PRINTED = 500;

class ConnectionList {
  constructor(rows) {
    this.rows = rows;
    this.matched = [];
    this.made = 0;
    this.opened = new Set();
    this.list = document.getElementById("list");
    this.more = document.getElementById("more");
    this.count = document.getElementById("count");
    this.more.addEventListener("click", () => this.make(PORTION));
    new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) this.make(PORTION);
    }, { rootMargin: "600px" }).observe(this.more);
    addEventListener("beforeprint", () => { if (this.matched.length <= PRINTED) this.make(PRINTED); });
  }

  /** Shows those that are selected, and of these the opened ones opened. */
  show(opened) {
    this.opened = opened;
    this.matched = matching(this.rows, selection());
    this.made = 0;
    this.list.replaceChildren();
    const [some, all] = [this.matched.length.toLocaleString("en"), this.rows.length.toLocaleString("en")];
    this.count.textContent = some === all
      ? `${all} ${all === "1" ? "connection" : "connections"}, by time`
      : `${some} of ${all} connections, by time`;
    if (this.matched.length === 1) this.opened.add(this.matched[0].id);
    this.make(PORTION);
  }

  make(count) {
    const portion = this.matched.slice(this.made, this.made + count);
    this.list.append(...portion.map((row) => this.item(row)));
    this.made += portion.length;
    const rest = this.matched.length - this.made;
    this.more.hidden = rest === 0;
    this.more.textContent = `Show more: ${rest.toLocaleString("en")} are not listed yet`;
  }

  item(row) {
    const head = element("summary", null,
      badge(row.code, row.outcome), " ",
      element("span", { class: "flow" }, row.client + " → " + row.dialled, row.translated
        ? element("span", { class: "rewrite" }, " ⇒ " + row.translated) : null),
      row.isRevised ? element("span", { class: "tag" }, "revised") : null,
      row.isIncomplete ? element("span", { class: "tag" }, "doubtful") : null,
      element("span", { class: "time" }, `${timeOfDay(row.start)}, ${milliseconds(row.duration)}`),
      element("span", { class: "sentence" }, row.sentence));
    const item = element("details", { "data-id": row.id }, head);
    let isFilled = false;
    item.addEventListener("toggle", async () => {
      if (item.open) this.opened.add(row.id); else this.opened.delete(row.id);
      writeAddress(this.opened);
      if (!item.open || isFilled) return;
      isFilled = true;
      try {
        item.append(await connectionPanel(row));
      } catch (error) {
        item.append(element("p", { class: "notice" }, `This connection cannot be shown: ${error.message}`));
      }
    });
    if (this.opened.has(row.id)) item.open = true;
    return element("li", null, item);
  }
}

/** `23:59:59.123Z`, of microseconds since 1970. */
function timeOfDay(time) {
  return new Date(Math.floor(time / 1000)).toISOString().slice(11);
}
