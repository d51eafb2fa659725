// Draws each figure when it comes into view, in the colours of the reader's system, and all to print.
"use strict";
const words = JSON.parse(document.getElementById("dark-colours").textContent);
const pattern = new RegExp(Object.keys(words).map((c) => '"' + c.replace(/[()]/g, "\\$&") + '"').join("|"), "g");
const dark = matchMedia("(prefers-color-scheme: dark)");
const config = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d"] };
let ready = null;

async function plotly() {
  const packed = document.getElementById("plotly").textContent.trim();
  const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}

async function draw(box, printing = false) {
  const source = box.nextElementSibling;
  const look = dark.matches && !printing ? "dark" : "light";
  if (!source || (box.dataset.look === look && box.dataset.drawn === source.textContent.length + "")) return;
  box.dataset.look = look;
  box.dataset.drawn = source.textContent.length;
  try {
    await (ready ??= plotly());
    const text = source.textContent;
    const figure = JSON.parse(look === "dark" ? text.replace(pattern, (c) => '"' + words[c.slice(1, -1)] + '"') : text);
    if (box.clientWidth < 560) Object.assign(figure.layout.margin ??= {}, { l: 44, r: 8 });
    await Plotly.react(box, figure.data, figure.layout, config);
  } catch (error) {
    box.textContent = "This browser cannot draw the figure: " + error.message;
  }
}

const seen = new IntersectionObserver(
  (entries) => entries.filter((e) => e.isIntersecting).forEach((e) => draw(e.target)),
  { rootMargin: "400px" },
);
const boxes = () => [...document.querySelectorAll(".plot")];
const watchAll = () => boxes().forEach((box) => seen.observe(box));
watchAll();
dark.addEventListener("change", () => boxes().filter((b) => b.dataset.look).forEach((b) => draw(b)));
addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((d) => (d.open = true));
  boxes().forEach((box) => draw(box, true));
});
addEventListener("afterprint", () => boxes().forEach((box) => draw(box)));
