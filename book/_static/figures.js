// On a phone a wide figure keeps its letters legible and scrolls in its own box: see custom.css.
for (const image of document.querySelectorAll(".bd-content figure > img, .bd-content figure > a > img")) {
  image.decode().then(() => {
    if (image.naturalWidth > 700) {
      image.style.setProperty("--legible", `${Math.round(0.6 * image.naturalWidth)}px`);
    }
  }, () => null);
}
