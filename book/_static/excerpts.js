/* On the search page. The text of a page that was found comes from texts.js, and is not fetched; a
   page whose own title has what was asked ranks before those that mention it. */
(() => {
  const ask = window.fetch;
  window.fetch = (address, ...rest) => {
    const name = Object.keys(window.pageTexts).find((n) => String(address).endsWith(`${n}.html`));
    if (!name) return ask(address, ...rest);
    const main = document.createElement("div");
    main.setAttribute("role", "main");
    main.textContent = window.pageTexts[name];
    return Promise.resolve({ text: () => main.outerHTML });
  };
  const query = (new URLSearchParams(window.location.search).get("q") ?? "").trim().toLowerCase();
  // Sphinx's own weights, and what it lets a site add
  window.Scorer = {
    score: ([, title, anchor, description, score]) =>
      query && !anchor && !description && title.toLowerCase().includes(query) ? score + 100 : score,
    objNameMatch: 11,
    objPartialMatch: 6,
    objPrio: { 0: 15, 1: 5, 2: -5 },
    objPrioDefault: 0,
    title: 15,
    partialTitle: 7,
    term: 5,
    partialTerm: 2,
  };
})();
