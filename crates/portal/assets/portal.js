// What makes the pages nicer where there is script. All of them work without it.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
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
    document.addEventListener("submit", (event) => {
      const says = event.submitter?.dataset.confirm;
      if (says && !confirm(says)) event.preventDefault();
    });
    for (const place of document.querySelectorAll("[data-stream]")) {
      const source = new EventSource(place.dataset.stream);
      source.addEventListener("live", (event) => {
        // Whoever stands on a link within stays there.
        const at = place.contains(document.activeElement) && document.activeElement.getAttribute("href");
        place.innerHTML = event.data;
        if (at) place.querySelector(`a[href="${CSS.escape(at)}"]`)?.focus();
      });
      addEventListener("pagehide", () => source.close());
    }
  });
})();
