// What makes the pages nicer where there is script. All of them work without it.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = document.cookie.match(/(?:^|; )muster_theme=(dark|light)/)?.[1];
  if (chosen) {
    root.dataset.bsTheme = chosen;
    root.setAttribute("data-chosen", "");
  }
  const follow = () => {
    if (!root.hasAttribute("data-chosen")) root.dataset.bsTheme = dark.matches ? "dark" : "light";
  };
  follow();
  dark.addEventListener("change", follow);

  document.addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("[data-theme]")) {
      button.hidden = false;
      button.addEventListener("click", () => {
        const next = root.dataset.bsTheme === "dark" ? "light" : "dark";
        root.dataset.bsTheme = next;
        root.setAttribute("data-chosen", "");
        document.cookie = `muster_theme=${next}; path=/; max-age=31536000; samesite=lax`;
      });
    }
    for (const button of document.querySelectorAll("[data-copy]")) {
      button.hidden = false;
      button.addEventListener("click", async () => {
        const field = document.getElementById(button.dataset.copy);
        field.select();
        try {
          await navigator.clipboard.writeText(field.value);
          button.textContent = "Copied";
        } catch {
          document.execCommand("copy");
          button.textContent = "Copied";
        }
      });
    }
    for (const field of document.querySelectorAll("[data-filter]")) {
      const all = document.querySelector(field.dataset.filter).children;
      field.addEventListener("input", () => {
        const wanted = field.value.toLowerCase();
        for (const one of all) one.hidden = !one.textContent.toLowerCase().includes(wanted);
      });
    }
    for (const place of document.querySelectorAll("[data-stream]")) {
      let source;
      const close = () => source?.close();
      const open = () => {
        close();
        source = new EventSource(place.dataset.stream);
        source.addEventListener("live", (event) => {
          // Whoever stands on a link, or in a table, within stays there.
          const at = place.contains(document.activeElement) ? document.activeElement : null;
          const name = ["href", "aria-label"].find((it) => at?.hasAttribute(it));
          const value = name && at.getAttribute(name);
          const left = at?.scrollLeft;
          place.innerHTML = event.data;
          const back = name && place.querySelector(`[${name}="${CSS.escape(value)}"]`);
          if (back) {
            back.focus({ preventScroll: true });
            back.scrollLeft = left;
          }
        });
      };
      open();
      // A page that nobody sees asks nothing.
      document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
      addEventListener("pagehide", close);
    }
  });
})();
