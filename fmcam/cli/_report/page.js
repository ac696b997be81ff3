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

// The slider shows all boxes at one threshold, and without it each at the one that was fitted.

const slider = document.querySelector(".threshold");
const thresholds = slider ? JSON.parse(slider.dataset.thresholds) : [];
const boxes = new Map(); // by picture: [place of its first threshold, IoU, x0, y0, x1, y1]
let chosen = null; // place of the threshold; null: as fitted

function boxOf(picture) {
  if (!boxes.has(picture)) boxes.set(picture, JSON.parse(picture.dataset.boxes));
  const place = chosen ?? Number(picture.dataset.at);
  return boxes.get(picture).findLast(([first]) => first <= place);
}

function drawBox(picture) {
  const asFitted = chosen === null || chosen === Number(picture.dataset.at);
  const [, iou, x0, y0, x1, y1] = boxOf(picture);
  const box = picture.querySelector("rect");
  box.toggleAttribute("hidden", x0 === undefined);
  const sides = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
  if (x0 !== undefined) for (const side in sides) box.setAttribute(side, sides[side]);
  for (const fact of picture.querySelectorAll(".iou, .at")) {
    const value = fact.lastChild;
    value.dataset.fitted ??= value.textContent;
    const now = fact.className === "at" ? thresholds[chosen] : iou?.toFixed(3);
    value.textContent = asFitted ? value.dataset.fitted : now;
  }
  for (const fact of picture.querySelectorAll(".fitted")) fact.hidden = !asFitted;
  const facts = [...picture.querySelectorAll("dl div:not([hidden])")].map((fact) =>
    `${fact.firstChild.textContent}: ${fact.lastChild.textContent}`);
  picture.querySelector("img").alt = `Heatmap. ${facts.join(", ")}`;
}

function average(values) {
  return values.length ? (values.reduce((a, b) => a + b) / values.length).toFixed(3) : "—";
}

function fillMeans(pictures) {
  for (const row of document.querySelectorAll("#at-threshold tbody tr")) {
    const method = pictures.filter((picture) => picture.dataset.method === row.dataset.method);
    const ious = method.map((picture) => boxOf(picture)[1]).filter((iou) => iou !== null);
    const threshold = chosen === null ? row.dataset.fitted : thresholds[chosen];
    const hits = ious.map((iou) => Number(iou >= 0.5));
    const values = [method.length, threshold, average(ious), average(hits)];
    values.forEach((value, place) => { row.cells[place + 1].textContent = value; });
    row.hidden = method.length === 0;
  }
}

// The gallery shows the pictures that fit all of its filters, some at a time: the browser decodes a
// picture only once it has been shown.

const filters = document.querySelector(".filters");
const more = document.querySelector(".more");

function showGallery(most) {
  const selects = [...filters.querySelectorAll("select")];
  const applied = selects.filter((select) => select.selectedIndex > 0);
  const pictures = [...document.querySelectorAll(".gallery figure")];
  const fitting = pictures.filter((picture) =>
    applied.every((select) => picture.dataset[select.name] === select.value));
  const shown = new Set(fitting.slice(0, most));
  for (const picture of pictures) picture.hidden = !shown.has(picture);
  for (const picture of shown) {
    const image = picture.querySelector("img");
    image.src ||= image.dataset.src;
    if (slider) drawBox(picture);
  }
  if (slider) fillMeans(fitting);
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

if (slider) {
  const range = slider.querySelector("input");
  const choose = (place) => {
    chosen = place;
    const text = place === null ? "as fitted" : String(thresholds[place]);
    slider.querySelector("output").textContent = text;
    range.ariaValueText = text;
    showGallery(Number(more.value));
  };
  range.addEventListener("input", () => choose(Number(range.value)));
  slider.addEventListener("reset", () => choose(null));
  range.ariaValueText = "as fitted";
}

// A click on a picture shows it large; Escape, the button or a click beside it closes it.

const dialog = document.querySelector("dialog");

for (const button of document.querySelectorAll(".enlarge")) {
  button.addEventListener("click", () => {
    const picture = document.createElement("div");
    picture.className = "picture";
    picture.append(...[...button.children].map((part) => part.cloneNode(true)));
    const caption = button.nextElementSibling.cloneNode(true);
    dialog.querySelector("figure").replaceChildren(picture, caption);
    dialog.showModal();
  });
}

dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
