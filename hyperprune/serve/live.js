// Asks every two seconds where the run is, draws the figures anew when there is more to draw, and
// loads the page anew when the run begins or ends.
"use strict";
const at = (id) => document.getElementById(id);
const put = (id, text) => { if (at(id)) at(id).textContent = text; };

function row(item) {
  const line = document.createElement("tr");
  line.className = item.state.split(":")[0];
  for (const key of ["name", "settings", "epoch", "distance", "value", "state"]) {
    const cell = line.insertCell();
    cell.textContent = item[key];
    if (["epoch", "distance", "value"].includes(key)) cell.className = "n";
    if (key === "settings") cell.className = "wrap";
  }
  return line;
}

async function redraw() {
  const answer = await fetch(location.pathname);
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const known = new Set(boxes().map((box) => box.closest("details").id));
  for (const box of fresh.querySelectorAll(".plot")) {
    const id = box.closest("details").id;
    if (!known.has(id)) return location.reload();
    const mine = at(id).querySelector(".plot");
    const changed = mine.nextElementSibling.textContent !== box.nextElementSibling.textContent;
    mine.nextElementSibling.textContent = box.nextElementSibling.textContent;
    if (changed && mine.dataset.look) { mine.dataset.drawn = ""; draw(mine); }
  }
}

async function tell() {
  try {
    if (!document.hidden) {
      const answer = await fetch("progress.json");
      if (answer.ok) {
        const now = await answer.json();
        // What stands around the figures was said of the state in which the page was made.
        if (now.state !== at("live").dataset.state) return location.reload();
        put("state", now.state);
        put("stage", now.stage);
        put("amount", now.state === "running"
          ? `${now.done.toFixed(0)}/${now.total} epochs, ${now.elapsed}, about ${now.left} left`
          : `${now.done.toFixed(0)}/${now.total} epochs`);
        at("bar").max = Math.max(1, now.total);
        at("bar").value = now.done;
        at("rows").replaceChildren(...now.rows.map(row));
        put("log", now.log.join("\n"));
        const before = at("live").dataset.stamp;
        at("live").dataset.stamp = now.stamp;
        if (before && before !== now.stamp) await redraw();
        if (now.state === "finished" && before === now.stamp) return;
      }
    }
  } catch (error) {
    put("state", "the server does not answer");
  }
  setTimeout(tell, 2000);
}

at("stop")?.addEventListener("click", async () => {
  if (!confirm("Stop this run after its step? It can be resumed.")) return;
  const answer = await fetch("stop", { method: "POST" });
  put("state", (await answer.text()).trim().slice(0, 80));
});
tell();
