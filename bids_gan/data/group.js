"use strict";
const body = document.querySelector("tbody");
const rows = [...body.rows]; // in the order of the file, whatever the table is sorted by
const more = document.getElementById("more");
const AT_ONCE = Number(more.dataset.rows); // laying out thousands of rows takes seconds
let sorted = rows; // in the order of the table
let fits = rows.map(() => true); // by the filter, in the order of the file
let limit = AT_ONCE;
const texts = rows.map((row) => row.textContent.toLowerCase());
const headings = [...document.querySelectorAll("th")];
const plots = [...document.querySelectorAll("svg")];
const points = JSON.parse(document.getElementById("points").textContent);
const tip = document.getElementById("tip");
const order = new Intl.Collator("en", { numeric: true });
const REACH = 12; // pixels between the pointer and a point that still counts as hit

// the first rows of the table that fit; the others wait
function show() {
  const wanted = new Set(rows.filter((_, n) => fits[n]));
  let count = 0;
  for (const row of sorted) row.hidden = !wanted.has(row) || ++count > limit;
  more.hidden = wanted.size <= limit;
  more.textContent = `${Math.min(AT_ONCE, wanted.size - limit)} more rows, ${limit} of ${wanted.size} are here`;
}

// numbers by value, texts by letters with numbers inside, n/a always last
function compare(a, b, up) {
  if (a === "n/a" || b === "n/a") return (a === "n/a") - (b === "n/a");
  const difference = Number(a) - Number(b);
  return (Number.isNaN(difference) ? order.compare(a, b) : difference) * up;
}

headings.forEach((heading, column) => heading.addEventListener("click", () => {
  const up = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  headings.forEach((other) => other.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", up > 0 ? "ascending" : "descending");
  const keys = new Map(rows.map((row) => [row, row.cells[column].textContent]));
  sorted = [...rows].sort((a, b) => compare(keys.get(a), keys.get(b), up));
  show();
  body.append(...sorted);
}));

const draw = (some) => some.map(([x, y]) => `M${x} ${y}h0`).join("");

function filter() {
  const words = document.getElementById("words").value.toLowerCase().split(/\s+/);
  const flagged = document.getElementById("flagged").checked;
  fits = rows.map((row, n) => words.every((word) => texts[n].includes(word))
    && !(flagged && !row.querySelector(".high, .low")));
  limit = AT_ONCE;
  show();
  const count = fits.filter(Boolean).length;
  document.getElementById("count").value = `${count} of ${rows.length} rows fit`;
  plots.forEach((plot, n) => {
    const [usual, far] = plot.querySelectorAll(".points");
    const seen = points[n].filter(([, , row]) => fits[row]);
    usual.setAttribute("d", draw(seen.filter((point) => !point[3])));
    far.setAttribute("d", draw(seen.filter((point) => point[3])));
  });
}

// the run whose point lies nearest to the pointer, if any is near
function nearest(plot, { clientX, clientY }) {
  const toScreen = plot.getScreenCTM();
  let best = null;
  let least = REACH;
  for (const [x, y, row] of points[plots.indexOf(plot)]) {
    if (!fits[row]) continue;
    const dx = x * toScreen.a + toScreen.e - clientX;
    const dy = y * toScreen.d + toScreen.f - clientY;
    const distance = Math.hypot(dx, dy);
    if (distance < least) [best, least] = [row, distance];
  }
  return best;
}

// mark one run in all plots and in the table; none when there is no row
function choose(row) {
  document.querySelector("tr.chosen")?.classList.remove("chosen");
  rows[row]?.classList.add("chosen");
  plots.forEach((plot, n) => {
    const mine = points[n].filter((point) => point[2] === row);
    plot.querySelector(".chosen").setAttribute("d", draw(mine));
  });
}

plots.forEach((plot) => {
  plot.addEventListener("pointermove", (event) => {
    const row = nearest(plot, event);
    plot.classList.toggle("near", row !== null);
    tip.hidden = row === null;
    choose(row);
    if (row === null) return;
    const [person, session, run] = [...rows[row].cells].map((cell) => cell.textContent);
    tip.textContent = [run, `${person} ${session}`, person].find((name) => !name.includes("n/a"));
    tip.style.left = `min(${event.clientX + 12}px, calc(100vw - ${tip.offsetWidth + 8}px))`;
    tip.style.top = `${event.clientY + 16}px`;
  });
  plot.addEventListener("pointerleave", () => { tip.hidden = true; choose(null); });
  plot.addEventListener("click", (event) => {
    const row = nearest(plot, event);
    if (row === null) return;
    const report = rows[row].querySelector("a");
    if (report) report.click();
    else {
      rows[row].hidden = false;
      rows[row].scrollIntoView({ block: "center" });
    }
  });
});

more.addEventListener("click", () => { limit += AT_ONCE; show(); });
document.querySelector(".filter").addEventListener("input", filter);
document.querySelector(".filter").addEventListener("submit", (event) => event.preventDefault());
filter();
