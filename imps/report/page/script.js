// Repeats the title of the cell under pointer, finger or arrow keys in the line below its figure.
for (const figure of document.querySelectorAll("figure.look")) {
  const svg = figure.querySelector("svg"), line = figure.querySelector("output");
  const cells = [...svg.querySelectorAll(".cell")], columns = Number(svg.dataset.columns);
  let at = -1;
  const show = (i) => {
    if (i < 0 || i >= cells.length) return;
    cells[at]?.classList.remove("on");
    at = i;
    cells[at].classList.add("on");
    line.textContent = cells[at].querySelector("title").textContent;
  };
  const point = (event) => {
    const cell = event.target.closest(".cell");
    if (cell) show(cells.indexOf(cell));
  };
  svg.addEventListener("pointerover", point);
  svg.addEventListener("click", point);
  // The pyramid runs upwards in age, the map downwards, each in rows of `columns` cells.
  const up = columns > 1 ? -columns : 1, side = columns > 1 ? 1 : cells.length / 2;
  const steps = { ArrowUp: up, ArrowDown: -up, ArrowRight: side, ArrowLeft: -side };
  svg.addEventListener("keydown", (event) => {
    if (!(event.key in steps)) return;
    event.preventDefault();
    show(at < 0 ? 0 : at + steps[event.key]);
  });
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => (d.open = true)));
