// In the built book there is no kernel: each figure gets a small model of its own, made from the state in the page,
// and what its reader sets stands in the address, so that a link leads to that very setting:
// #bowl_walk.lr=0.9&bowl_walk.steps=6 (a second bowl_walk on the page is bowl_walk-2).

function pageModel(state, onset) {
  const listeners = {};
  return {
    kernel: false,
    get: (name) => state[name],
    set(name, value) {
      if (state[name] === value) return;
      state[name] = value;
      (listeners["change:" + name] || []).forEach((call) => call());
      onset();
    },
    save_changes() {},
    on: (event, call) => (listeners[event] ||= []).push(call),
    off: (event, call) => (listeners[event] = (listeners[event] || []).filter((other) => other !== call)),
  };
}

// A setting from an address; undefined where it is none, for an address may hold anything.
function settingFrom(text, { kind, min = -Infinity, max = Infinity, options }) {
  if (kind === "switch") return { true: true, false: false }[text];
  if (kind === "choice") return options.find((option) => String(option) === text);
  const value = Number(text);
  const fits = text.trim() !== "" && Number.isFinite(value) && min <= value && value <= max;
  return fits && (kind !== "whole" || Number.isInteger(value)) ? value : undefined;
}

function bringToLife() {
  const alive = [];
  const page = () => location.href.split("#")[0];

  // Every setting that is not as the page came, of all figures or of one.
  function address(some = alive) {
    const query = new URLSearchParams();
    for (const { id, settings, start, model } of some)
      for (const name in settings) if (model.get(name) !== start[name]) query.set(`${id}.${name}`, model.get(name));
    return page() + (query.size ? "#" + query : some.length === 1 ? "#" + some[0].id : "");
  }

  let waiting = 0;
  let reading = false;
  function remember() {  // not at every move of a drag: browsers allow some twenty changes a second
    if (!reading) waiting ||= setTimeout(() => ((waiting = 0), history.replaceState(history.state, "", address())), 250);
  }

  function readAddress() {
    const query = new URLSearchParams(location.hash.slice(1));
    const named = alive.filter(({ id }) => [...query.keys()].some((key) => key.startsWith(id + ".")));
    reading = true;
    for (const { id, settings, start, model } of named)
      for (const name in settings)
        model.set(name, settingFrom(query.get(`${id}.${name}`) ?? "", settings[name]) ?? start[name]);
    reading = false;
    named[0]?.box.scrollIntoView();
  }

  function copier(figure) {
    const said = html("span", { role: "status" });
    const place = html("input", { type: "text", readonly: true, "aria-label": "link to this setting" });
    const copy = html("button", { type: "button", class: "gdl-link", onclick: async () => {
      place.value = address([figure]);
      try {
        await navigator.clipboard.writeText(place.value);
        said.textContent = "Copied.";
      } catch {  // not allowed here: the reader can
        box.append(place);
        place.select();
        said.textContent = "Copy it from here:";
      }
    } }, "Copy a link to this setting");
    const box = html("div", { class: "gdl-share" }, copy, said);
    return box;
  }

  for (const box of document.querySelectorAll(".gdl-figure[data-figure]")) {
    const name = box.dataset.figure;
    const before = alive.filter((other) => other.name === name).length;
    const start = JSON.parse(box.dataset.state);
    const figure = { box, name, start, id: before ? `${name}-${before + 1}` : name, settings: JSON.parse(box.dataset.settings) };
    figure.model = pageModel({ ...start }, remember);
    box.id = figure.id;
    alive.push(figure);
  }
  readAddress();
  for (const { box, name, model } of alive) {
    const live = html("div", { class: "gdl-live" });
    box.append(live);
    box.classList.add("gdl-alive");  // before drawing: a hidden box has no width
    figures[name](model, live);
  }
  for (const figure of alive) if (Object.keys(figure.settings).length) figure.box.querySelector(".gdl").append(copier(figure));
  addEventListener("hashchange", readAddress);
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", bringToLife);
else bringToLife();
