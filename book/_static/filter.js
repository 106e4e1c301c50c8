/* A search field that shows only the rows of a table that hold what was typed. */
for (const field of document.querySelectorAll("input[data-filters]")) {
  const bodies = document.getElementById(field.dataset.filters).tBodies;
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const body of bodies) {
      let shown = 0;
      for (const row of body.rows) {
        if (row.cells.length < 2) continue; /* the title of a page */
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        shown += !row.hidden;
      }
      body.hidden = shown === 0;
    }
  });
}
