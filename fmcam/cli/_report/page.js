"use strict";

// A click on a column's heading sorts the table by it, a second click the other way round.
// Missing values stay at the end.

const byText = new Intl.Collator("en", { numeric: true }).compare;

function sortTable(heading) {
  const direction = heading.ariaSort === "ascending" ? -1 : 1;
  for (const other of heading.parentElement.cells) other.ariaSort = null;
  heading.ariaSort = direction === 1 ? "ascending" : "descending";

  const compare = heading.classList.contains("number") ? (a, b) => a - b : byText;
  const body = heading.closest("table").tBodies[0];
  const key = (row) => row.cells[heading.cellIndex].dataset.value;
  const rows = [...body.rows];
  const present = rows.filter((row) => key(row) !== "");
  const missing = rows.filter((row) => key(row) === "");
  present.sort((a, b) => direction * compare(key(a), key(b)));
  body.append(...present, ...missing);
}

for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => sortTable(button.parentElement));
}

// The gallery shows the pictures that fit all of its filters.

const filters = document.querySelector(".filters");

function filterGallery() {
  const selects = [...filters.querySelectorAll("select")];
  const chosen = selects.filter((select) => select.selectedIndex > 0);
  const pictures = [...document.querySelectorAll(".gallery figure")];
  for (const picture of pictures) {
    picture.hidden = chosen.some((select) => picture.dataset[select.name] !== select.value);
  }
  const shown = pictures.filter((picture) => !picture.hidden).length;
  filters.querySelector("output").textContent = `${shown} of ${pictures.length} pictures`;
}

if (filters) {
  filters.addEventListener("change", filterGallery);
  filters.addEventListener("reset", () => setTimeout(filterGallery)); // once the filters are reset
}

// A click on a picture shows it large; Escape, the button or a click beside it closes it.

const dialog = document.querySelector("dialog");

for (const button of document.querySelectorAll(".enlarge")) {
  button.addEventListener("click", () => {
    const caption = button.nextElementSibling.cloneNode(true);
    dialog.querySelector("figure").replaceChildren(button.firstChild.cloneNode(), caption);
    dialog.showModal();
  });
}

dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
