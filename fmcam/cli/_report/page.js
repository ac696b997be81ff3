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

// The gallery shows the pictures that fit all of its filters, some at a time: the browser decodes a
// picture only once it has been shown.

const filters = document.querySelector(".filters");
const more = document.querySelector(".more");

function showGallery(most) {
  const selects = [...filters.querySelectorAll("select")];
  const chosen = selects.filter((select) => select.selectedIndex > 0);
  const pictures = [...document.querySelectorAll(".gallery figure")];
  const fitting = pictures.filter((picture) =>
    chosen.every((select) => picture.dataset[select.name] === select.value));
  const shown = new Set(fitting.slice(0, most));
  for (const picture of pictures) picture.hidden = !shown.has(picture);
  for (const picture of shown) {
    const image = picture.querySelector("img");
    image.src ||= image.dataset.src;
  }
  filters.querySelector("output").textContent =
    `${fitting.length} of ${pictures.length} pictures`;
  more.hidden = shown.size === fitting.length;
  more.value = shown.size;
}

if (filters) {
  const step = Number(more.value);
  filters.addEventListener("change", () => showGallery(step));
  filters.addEventListener("reset", () => setTimeout(showGallery, 0, step)); // after the reset
  more.addEventListener("click", () => showGallery(Number(more.value) + step));
  showGallery(step);
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
