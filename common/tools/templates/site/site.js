// Theme and choice of frameworks, remembered; the search of the field guide. Loaded in the head, so that the first two are set
// before the first paint. What is said stands in the pages, as data-* in their language.
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

  // An entry is found if it has every word, in any order and any case; its lines of code are left out. Words are parts of words,
  // as Chinese has no spaces.
  const find = (form) => {
    const input = form.querySelector("input");
    const status = form.querySelector("output");
    const plain = (text) => text.normalize("NFKC").toLowerCase();
    const entries = [...document.querySelectorAll(".entry")].map((element) => ({
      element,
      heading: element.querySelector("h3"),
      line: document.querySelector(`.toc a[href="#${CSS.escape(element.querySelector("h3").id)}"]`).parentElement,
      text: plain([...element.children].filter((part) => part.tagName !== "DETAILS").map((part) => part.textContent).join(" ")),
    }));
    const groups = [...document.querySelectorAll(".entries > section, .toc details > div")];
    const show = () => {
      const words = plain(input.value).split(/\s+/).filter(Boolean);
      for (const entry of entries) {
        entry.element.hidden = entry.line.hidden = !words.every((word) => entry.text.includes(word));
      }
      for (const group of groups) group.hidden = !group.querySelector(".entry:not([hidden]), .toc li:not([hidden])");
      const found = entries.filter((entry) => !entry.element.hidden).length;
      const text = found ? status.dataset.found : status.dataset.none;
      status.textContent = words.length ? text.replace("{n}", found).replace("{all}", entries.length) : "";
      reach();
    };
    const clear = () => { input.value = ""; show(); };
    input.addEventListener("input", show);
    input.addEventListener("keydown", (event) => { if (event.key === "Escape") { event.preventDefault(); clear(); } });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const first = entries.find((entry) => !entry.element.hidden);
      if (!first || !input.value.trim()) return;
      first.heading.tabIndex = -1;
      first.heading.focus();
      first.heading.scrollIntoView();
    });
    // A link between entries may lead to one that the search has hidden.
    addEventListener("hashchange", () => {
      const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
      if (target?.closest("[hidden]")) { clear(); target.scrollIntoView(); }
    });
    show();
  };

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const say = () => { button.textContent = button.dataset[root.dataset.theme]; };
    button.addEventListener("click", () => {
      const order = ["auto", "light", "dark"];
      setTheme(order[(order.indexOf(root.dataset.theme) + 1) % order.length]);
      store("theme", root.dataset.theme);
      say();
    });
    say();

    // The list of entries stands next to the text where there is room for it, and is closed above it where there is none.
    const entries = document.querySelector(".toc details");
    if (entries) entries.open = matchMedia("(min-width: 64rem)").matches;

    const search = document.getElementById("search");
    if (search) find(search);

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
        status.textContent = status.dataset.least;
      }
      setHidden(boxes.filter((box) => !box.checked).map((box) => box.value));
      setWrap(form.elements.wrap.checked);
      store("hide", root.dataset.hide);
      store("wrap", form.elements.wrap.checked ? "yes" : "");
      reach();
    });
  });
})();
