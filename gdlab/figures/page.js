// In the built book there is no kernel: each figure gets a small model of its own, made from the state in the page.

function pageModel(state) {
  const listeners = {};
  return {
    kernel: false,
    get: (name) => state[name],
    set(name, value) {
      if (state[name] === value) return;
      state[name] = value;
      (listeners["change:" + name] || []).forEach((call) => call());
    },
    save_changes() {},
    on: (event, call) => (listeners[event] ||= []).push(call),
    off: (event, call) => (listeners[event] = (listeners[event] || []).filter((other) => other !== call)),
  };
}

function bringToLife() {
  for (const box of document.querySelectorAll(".gdl-figure[data-figure]")) {
    const live = html("div", { class: "gdl-live" });
    box.append(live);
    box.classList.add("gdl-alive");  // before drawing: a hidden box has no width
    figures[box.dataset.figure](pageModel(JSON.parse(box.dataset.state)), live);
  }
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", bringToLife);
else bringToLife();
