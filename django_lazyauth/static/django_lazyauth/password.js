// Adds a button to each password field that shows what was typed. Without scripts there is none.
for (const field of document.querySelectorAll("input[type=password][data-show]")) {
  const button = document.createElement("button");
  const set = (type) => {
    field.type = type;
    button.textContent = type === "text" ? field.dataset.hide : field.dataset.show;
  };
  button.type = "button";
  button.className = "lazyauth-link";
  button.setAttribute("aria-controls", field.id);
  button.addEventListener("click", () => set(field.type === "text" ? "password" : "text"));
  // A browser remembers what was typed into a field of text.
  field.form.addEventListener("submit", () => set("password"));
  set("password");
  field.after(button);
}
