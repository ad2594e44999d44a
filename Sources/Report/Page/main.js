// Begins: reads the rows, and ties the controls to the list.

async function begin() {
  const rows = await readRows();
  offerVerdicts(rows);
  document.getElementById("filters").hidden = rows.length < 2;
  const list = new ConnectionList(rows);
  list.show(readAddress());

  let waiting = 0;
  const changed = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      list.show(list.opened);
      writeAddress(list.opened);
    }, 60);
  };
  controls.text.addEventListener("input", changed);
  controls.verdict.addEventListener("change", changed);
  controls.failed.addEventListener("change", changed);
  document.getElementById("reset").addEventListener("click", () => {
    controls.text.value = controls.verdict.value = "";
    controls.failed.checked = false;
    changed();
    controls.text.focus();
  });

  const section = document.getElementById("connections");
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault();
    section.focus();
  });
  // A link of the table above, or an address that was typed.
  addEventListener("hashchange", () => {
    list.show(readAddress());
    section.focus();
    section.scrollIntoView();
  });
}

begin().then(() => {
  performance.mark("nattrace-list-usable");
  document.documentElement.dataset.ready = "true";
}, (error) => {
  const problem = document.getElementById("problem");
  problem.textContent = "The list of connections cannot be shown in this browser, which may be too old: "
    + `${error.message}. The summary above is complete.`;
  problem.hidden = false;
});
