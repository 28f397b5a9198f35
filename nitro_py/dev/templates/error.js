const wireReport = (root) => {
  const button = root.querySelector(".copy");
  button?.addEventListener("click", async () => {
    const text = root.querySelector(".text pre").textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Only pages of localhost and HTTPS may write to the clipboard.
      const area = document.createElement("textarea");
      area.value = text;
      button.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy as text"; }, 1500);
  });
};
