(() => {
  const root = document.documentElement;
  const one = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];

  // Light and dark: what was chosen, else what the system says.
  const kept = (value) => {
    try {
      if (value) localStorage.setItem("housewright-theme", value);
      return localStorage.getItem("housewright-theme");
    } catch {
      return null;
    }
  };
  const button = one(".theme");
  const theme = (name) => {
    const other = name === "dark" ? "light" : "dark";
    root.dataset.theme = name;
    button.textContent = other === "dark" ? "Dark" : "Light";
    button.setAttribute("aria-label", "Use " + other + " colours");
  };
  theme(root.dataset.theme);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => kept() || theme(event.matches ? "dark" : "light"));
  button.addEventListener("click", () => {
    theme(root.dataset.theme === "dark" ? "light" : "dark");
    kept(root.dataset.theme);
  });

  // The drawing: an object and all that flows into it and out of it.
  const map = one("svg.map");
  const said = one(".said");
  const intro = said && said.textContent;
  const ways = all(".way", map || document).map((element) => ({ element, from: element.dataset.from, to: element.dataset.to }));
  const reach = (start, next) => {
    const seen = new Set([start]);
    for (const at of seen) for (const way of ways) if (way[next[0]] === at) seen.add(way[next[1]]);
    return seen;
  };
  const pick = (id) => {
    if (!map) return;
    const node = id && all(".node", map).find((it) => it.dataset.node === id);
    map.classList.toggle("some", !!node);
    const above = node ? reach(id, ["to", "from"]) : new Set();
    const below = node ? reach(id, ["from", "to"]) : new Set();
    for (const it of all(".node", map)) {
      it.classList.toggle("on", above.has(it.dataset.node) || below.has(it.dataset.node));
      it.classList.toggle("picked", it === node);
      if (it === node) it.setAttribute("aria-current", "true");
      else it.removeAttribute("aria-current");
    }
    for (const way of ways) {
      const on = (above.has(way.from) && above.has(way.to)) || (below.has(way.from) && below.has(way.to));
      way.element.classList.toggle("on", on);
    }
    said.replaceChildren();
    if (!node) return said.append(intro);
    const link = document.createElement("a");
    link.href = "#" + id;
    const name = document.createElement("b");
    const article = document.getElementById(id);
    name.textContent = article.dataset.n;
    link.append(name);
    const meaning = one(".m", article);
    said.append(link, meaning ? ": " + meaning.textContent : "");
  };
  if (map) {
    map.addEventListener("click", (event) => {
      const node = event.target.closest(".node");
      if (!node) return pick(null);
      // The first click shows the ways, the second goes there.
      if (node.classList.contains("picked")) return;
      event.preventDefault();
      pick(node.dataset.node);
    });
  }
  const hash = () => {
    let id;
    try {
      id = decodeURIComponent(location.hash.slice(1));
    } catch {
      return;
    }
    const target = id && document.getElementById(id);
    const article = target && target.closest(".obj");
    if (!article || !map) return;
    pick(article.id);
    if (target === article || target.dataset.f !== "column") return;
    // A column: what it means, and where it comes from.
    const link = one("a", said);
    link.href = "#" + target.id;
    link.firstChild.textContent = target.dataset.n;
    const from = [...one(".f", target).children].filter((it) => it.tagName === "A").map((it) => it.textContent);
    const meaning = one(".m", target);
    said.replaceChildren(link, (meaning ? ": " + meaning.textContent : "") + (from.length ? ". Comes from " + from.join(", ") : ""));
  };
  addEventListener("hashchange", hash);
  hash();

  // The search: names first, then what is written about them.
  const input = one(".find input");
  const list = one(".hits");
  let index = null;
  let hits = [];
  let at = -1;
  const entries = () =>
    (index ||= all("[data-f]").map((element) => {
      const meaning = one(".m", element);
      return { element, kind: element.dataset.f, name: element.dataset.n, low: element.dataset.n.toLowerCase(), text: meaning ? meaning.textContent : "" };
    }));
  const rank = (entry, word) => {
    // A column has a name of its own; that of its table is also there to be found, but last.
    const own = entry.kind === "column" ? entry.low.slice(entry.low.lastIndexOf(".") + 1) : entry.low;
    if (own === word || entry.low === word) return entry.kind === "column" ? 1 : 0;
    if (own.startsWith(word) || (word.includes(".") && entry.low.startsWith(word))) return 2;
    if (own.includes(word)) return 3;
    if (entry.text.toLowerCase().includes(word)) return 4;
    return entry.low.includes(word) ? 5 : 9;
  };
  const marked = (element, text, word) => {
    const found = word ? text.toLowerCase().indexOf(word) : -1;
    if (found < 0) return element.append(text);
    const mark = document.createElement("mark");
    mark.textContent = text.slice(found, found + word.length);
    element.append(text.slice(0, found), mark, text.slice(found + word.length));
  };
  const select = (number) => {
    at = hits.length ? (number + hits.length) % hits.length : -1;
    [...list.children].forEach((item, i) => {
      item.setAttribute("aria-selected", i === at);
      if (i === at) item.scrollIntoView({ block: "nearest" });
    });
    if (at < 0) input.removeAttribute("aria-activedescendant");
    else input.setAttribute("aria-activedescendant", "hit-" + at);
  };
  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const search = () => {
    const word = input.value.trim().toLowerCase();
    if (!word) return close();
    hits = entries()
      .map((entry) => ({ entry, rank: rank(entry, word) }))
      .filter((it) => it.rank < 9)
      .sort((a, b) => a.rank - b.rank)
      .slice(0, 40)
      .map((it) => it.entry);
    list.replaceChildren(
      ...hits.map((entry, i) => {
        const item = document.createElement("li");
        item.id = "hit-" + i;
        item.setAttribute("role", "option");
        const kind = document.createElement("span");
        kind.className = "k";
        kind.textContent = entry.kind;
        const name = document.createElement("code");
        marked(name, entry.name, word);
        const text = document.createElement("span");
        text.className = "d";
        marked(text, entry.text, word);
        item.append(kind, name, text);
        item.addEventListener("mousedown", (event) => event.preventDefault());
        item.addEventListener("click", () => go(entry));
        return item;
      }),
    );
    if (!hits.length) {
      const none = document.createElement("li");
      none.setAttribute("role", "option");
      none.setAttribute("aria-disabled", "true");
      none.textContent = "Nothing is called that, and nothing says it";
      list.append(none);
    }
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    select(0);
  };
  const go = (entry) => {
    close();
    input.value = "";
    input.blur();
    const id = entry.element.id;
    if (decodeURIComponent(location.hash) === "#" + id) entry.element.scrollIntoView();
    else location.hash = "#" + id;
    entry.element.tabIndex = -1;
    entry.element.focus({ preventScroll: true });
  };
  input.addEventListener("input", search);
  input.addEventListener("focus", search);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) search();
      else select(at + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter" && !list.hidden && hits[at]) {
      event.preventDefault();
      go(hits[at]);
    } else if (event.key === "Escape") {
      event.stopPropagation();
      if (!input.value) input.blur();
      input.value = "";
      close();
    }
  });
  addEventListener("keydown", (event) => {
    const writes = event.target.closest && event.target.closest("input,textarea,select");
    if (event.key === "/" && !writes && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      input.focus();
      input.select();
    } else if (event.key === "Escape") pick(null);
  });

  // On a telephone the contents are there when they are asked for.
  const contents = one(".side details");
  const little = matchMedia("(max-width: 900px)");
  const fold = () => (contents.open = !little.matches);
  little.addEventListener("change", fold);
  fold();

  // Where the reader is.
  const links = new Map(all(".side a").map((link) => [decodeURIComponent(link.hash.slice(1)), link]));
  if ("IntersectionObserver" in window && links.size) {
    let here = null;
    const observer = new IntersectionObserver(
      (seen) => {
        for (const it of seen) {
          const link = it.isIntersecting && links.get(it.target.id);
          if (!link || link === here) continue;
          if (here) here.classList.remove("here");
          (here = link).classList.add("here");
        }
      },
      { rootMargin: "-15% 0px -75% 0px" },
    );
    for (const id of links.keys()) {
      const element = document.getElementById(id);
      if (element) observer.observe(element);
    }
  }

  // On paper nothing can be opened.
  addEventListener("beforeprint", () => all("main details:not([open])").forEach((it) => ((it.open = true), (it.dataset.print = ""))));
  addEventListener("afterprint", () => all("details[data-print]").forEach((it) => ((it.open = false), delete it.dataset.print)));
})();
