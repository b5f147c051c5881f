"use strict";
(() => {
  const form = document.getElementById("form");
  const input = document.getElementById("images");
  const heatMap = document.getElementById("heat_map");
  const answers = document.getElementById("answers");
  const status = document.getElementById("status");
  const clear = document.querySelector(".clear");
  const waiting = [];
  let asked = 0, done = 0, running = 0;
  document.documentElement.classList.add("scripted");

  const tell = () => {
    status.textContent = asked ? form.dataset.progress.replace("{done}", done).replace("{all}", asked) : "";
  };

  const refused = (card, name, sentence) => {
    const title = document.createElement("h3"), text = document.createElement("p");
    title.textContent = name;
    text.textContent = sentence;
    text.className = "refused problem";
    text.setAttribute("role", "alert");
    card.replaceChildren(title, text);
  };

  const placeholder = (name) => {
    const card = document.createElement("article"), title = document.createElement("h3"), text = document.createElement("p");
    card.className = "answer";
    title.textContent = name;
    text.textContent = form.dataset.waiting;
    card.append(title, text);
    return card;
  };

  const send = async (file, card, wantsHeatMap) => {
    if (file.size > Number(form.dataset.most)) {
      refused(card, file.name, form.dataset.tooLarge);
      return;
    }
    const fields = new FormData();
    fields.append("images", file, file.name);
    if (wantsHeatMap) fields.append("heat_map", "1");
    let text;
    try {
      const response = await fetch("/answers", { method: "POST", body: fields });
      text = await response.text();
    } catch {
      refused(card, file.name, form.dataset.noAnswer);
      return;
    }
    const received = document.createElement("template");
    received.innerHTML = text;  // of this page's own server, which escapes names
    const found = received.content.querySelector("article");
    if (!found) {
      refused(card, file.name, received.content.textContent.trim());
      return;
    }
    const ask = found.querySelector("[data-ask-map]");
    if (ask) {
      ask.parentElement.hidden = false;
      ask.addEventListener("click", async () => {
        ask.disabled = true;
        const next = await send(file, found, true);
        (next || found).querySelector("h3").focus();
      });
    }
    found.querySelector("h3").tabIndex = -1;
    card.replaceWith(found);
    return found;
  };

  const work = async () => {
    running += 1;
    while (waiting.length) {
      const [file, card] = waiting.shift();
      await send(file, card, Boolean(heatMap && heatMap.checked));
      done += 1;
      tell();
    }
    running -= 1;
  };

  const take = (files) => {
    for (const file of files) {
      const card = placeholder(file.name);
      answers.append(card);
      waiting.push([file, card]);
      asked += 1;
    }
    clear.hidden = !asked;
    tell();
    while (running < 2 && waiting.length) work();
  };

  input.addEventListener("change", () => {
    take(Array.from(input.files));
    input.value = "";
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      document.body.classList.add("dragged");
    });
  }
  for (const kind of ["dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      if (kind === "drop" || !event.relatedTarget) document.body.classList.remove("dragged");
      if (kind === "drop") take(Array.from(event.dataTransfer.files));
    });
  }
})();
