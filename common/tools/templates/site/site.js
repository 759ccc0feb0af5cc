// Theme and choice of columns, remembered. Loaded in the head, so that both are set before the first paint.
(() => {
  "use strict";
  const root = document.documentElement;
  const stored = (key) => { try { return localStorage.getItem(`tetrapla-${key}`) || ""; } catch { return ""; } };
  const store = (key, value) => { try { localStorage.setItem(`tetrapla-${key}`, value); } catch { /* private window */ } };
  const LEAST = 2;

  const setTheme = (theme) => { root.dataset.theme = ["light", "dark"].includes(theme) ? theme : "auto"; };
  const setHidden = (hidden) => { root.dataset.hide = hidden.join(" "); };
  const setWrap = (wrap) => { root.toggleAttribute("data-wrap", wrap); };

  const known = new Set([{% for backend in backends %}"{{ backend }}"{{ ", " if not loop.last }}{% endfor %}]);
  const hidden = stored("hide").split(" ").filter((name) => known.has(name));
  setTheme(stored("theme"));
  setHidden(known.size - new Set(hidden).size >= LEAST ? hidden : []);
  setWrap(stored("wrap") === "yes");

  // What scrolls sideways can be reached by the keyboard, in browsers too that do not see to it themselves.
  const reach = () => {
    for (const element of document.querySelectorAll(".scroll, pre.code")) {
      if (element.scrollWidth > element.clientWidth) element.tabIndex = 0;
      else element.removeAttribute("tabindex");
    }
  };
  addEventListener("load", reach);
  addEventListener("resize", reach);

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const say = () => { button.textContent = `Theme: ${root.dataset.theme}`; };
    button.addEventListener("click", () => {
      const order = ["auto", "light", "dark"];
      setTheme(order[(order.indexOf(root.dataset.theme) + 1) % order.length]);
      store("theme", root.dataset.theme);
      say();
    });
    say();

    // The list of entries stands beside the text where there is room for it, and is closed above it where there is none.
    const entries = document.querySelector(".toc details");
    if (entries) entries.open = matchMedia("(min-width: 64rem)").matches;

    const form = document.getElementById("choice");
    if (!form) return;
    const boxes = [...form.elements.column];
    for (const box of boxes) box.checked = !root.dataset.hide.split(" ").includes(box.value);
    form.elements.wrap.checked = root.hasAttribute("data-wrap");
    form.addEventListener("change", (event) => {
      const status = form.querySelector("output");
      status.textContent = "";
      if (boxes.filter((box) => box.checked).length < LEAST) {
        event.target.checked = true;
        status.textContent = "Two columns stay: choose another first.";
      }
      setHidden(boxes.filter((box) => !box.checked).map((box) => box.value));
      setWrap(form.elements.wrap.checked);
      store("hide", root.dataset.hide);
      store("wrap", form.elements.wrap.checked ? "yes" : "");
      reach();
    });
  });
})();
