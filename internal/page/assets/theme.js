// Runs before anything is drawn, so that the chosen scheme never flashes.
"use strict";
(() => {
  const saved = localStorage.getItem("flask2ban-theme");
  if (saved === "light" || saved === "dark") document.documentElement.dataset.theme = saved;
})();
