// The chosen look before the first paint; without a choice the system's.
{
  const chosen = document.cookie.match(/(?:^|; )dandelion_theme=(light|dark)/)?.[1];
  if (chosen) document.documentElement.dataset.theme = chosen;
}

window.dandelionTheme = () => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const next = (root.dataset.theme || system) === "dark" ? "light" : "dark";
  if (next === system) {
    delete root.dataset.theme;
    document.cookie = "dandelion_theme=; Path=/; Max-Age=0; SameSite=Strict";
  } else {
    root.dataset.theme = next;
    document.cookie = `dandelion_theme=${next}; Path=/; Max-Age=31536000; SameSite=Strict`;
  }
};
