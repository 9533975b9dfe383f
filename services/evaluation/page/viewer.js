// The list of items: an index of all of them, and blocks of whole items that are unpacked when one is looked at.
(() => {
  const HEIGHT = 28, BLOCK = __BLOCK__;
  const by = id => document.getElementById(id);
  const list = by("list"), head = list.querySelector(".head"), rows = list.querySelector(".rows");
  const blocks = document.querySelectorAll("script.block"), kept = new Map();
  const several = RUNS.length > 1;
  let index = [], shown = [], chosen = -1, sorted = null, searching = 0;

  async function unpacked(script) {
    const bytes = Uint8Array.from(atob(script.textContent), one => one.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  }

  async function block(number) {
    if (!kept.has(number)) kept.set(number, unpacked(blocks[number]));
    const found = await kept.get(number);
    if (kept.size > 8) kept.delete([...kept.keys()].find(one => one !== number));
    return found;
  }

  const columns = [
    {name: "#", kind: "n", value: at => at + 1},
    {name: "set", kind: "s", value: at => index[at][0]},
    {name: "setting", kind: "s", value: at => index[at][1]},
    {name: "question", kind: "q", value: at => index[at][2]},
    ...(several ? [] : [{name: "status", kind: "t", value: at => index[at][3][0][0]}]),
    ...METRICS.flatMap((metric, which) => RUNS.map((run, place) => ({
      name: several ? run + ": " + metric : metric, kind: "v",
      value: at => {
        const answer = index[at][3][place];
        return answer === null ? null : answer[0] === "scored" ? answer[1][which] : answer[0];
      },
    }))),
  ];

  const differs = at => new Set(index[at][3].map(answer => JSON.stringify(answer))).size > 1;

  function matching() {
    const set = by("set").value, setting = by("setting").value, status = by("status").value;
    const only = by("differ").querySelector("input").checked;
    return index.map((_, at) => at).filter(at => {
      const [ofSet, ofSetting, , answers] = index[at];
      return (!set || ofSet === set) && (!setting || ofSetting === setting) && (!only || differs(at))
        && (!status || answers.some(answer => answer !== null && answer[0] === status));
    });
  }

  async function update() {
    const mine = ++searching, text = by("search").value.trim().toLowerCase();
    let found = matching();
    if (text) {
      const hits = [];
      for (const at of found) {
        const entry = (await block(Math.floor(at / BLOCK)))[at % BLOCK];
        if (mine !== searching) return;
        if (haystack(entry).includes(text)) hits.push(at);
      }
      found = hits;
    }
    shown = found;
    arrange();
  }

  const haystack = entry => [entry.id, entry.question, ...entry.gold,
    ...entry.answers.flatMap(answer => answer ? [answer.prompt, answer.output, answer.error] : [])].join("\n").toLowerCase();

  function arrange() {
    if (sorted) {
      const {column, down} = sorted, value = columns[column].value;
      const rank = one => one === null || one === undefined ? 2 : typeof one === "string" ? 1 : 0;
      shown.sort((a, b) => {
        const one = value(a), other = value(b), ranks = rank(one) - rank(other);
        const order = ranks || (one < other ? -1 : one > other ? 1 : 0);
        return (down && !ranks ? -order : order) || a - b;
      });
    }
    by("shown").textContent = shown.length.toLocaleString("en") + " of " + index.length.toLocaleString("en");
    rows.style.height = shown.length * HEIGHT + "px";
    list.scrollTop = Math.min(list.scrollTop, Math.max(0, shown.length * HEIGHT - list.clientHeight));
    draw();
  }

  function cell(text, kind) {
    const span = document.createElement("span");
    span.className = kind;
    span.textContent = text;
    return span;
  }

  function draw() {
    const first = Math.max(0, Math.floor(list.scrollTop / HEIGHT) - 8);
    const last = Math.min(shown.length, first + Math.ceil(list.clientHeight / HEIGHT) + 16);
    rows.replaceChildren(...shown.slice(first, last).map((at, place) => {
      const row = document.createElement("div");
      row.className = "row" + (at === chosen ? " chosen" : "");
      row.style.top = HEIGHT + (first + place) * HEIGHT + "px";
      for (const column of columns) {
        const value = column.value(at);
        const text = value === null || value === undefined ? "" : typeof value === "number" && column.kind === "v" ? String(+value.toFixed(3)) : String(value);
        row.append(cell(text, column.kind + ("vt".includes(column.kind) && typeof value === "string" ? " " + value : "")));
      }
      row.onclick = () => choose(at);
      return row;
    }));
  }

  function part(title, text) {
    const heading = document.createElement("h3"), body = document.createElement("pre");
    heading.textContent = title;
    body.textContent = text;
    return [heading, body];
  }

  function answered(answer, place) {
    const box = document.createElement("div");
    if (several) {
      const name = document.createElement("h3");
      name.textContent = RUNS[place] + (answer ? ", " + answer.setting : ": not asked");
      box.append(name);
    }
    if (!answer) return box;
    const line = document.createElement("p"), seen = Object.entries(answer.scores).map(([name, value]) => name + " " + +value.toFixed(4));
    const facts = [answer.status, ...seen, answer.tokens === null ? "" : answer.tokens + " tokens",
      answer.latency_ms === null ? "" : Math.round(answer.latency_ms) + " ms", "seed " + answer.seed];
    line.textContent = facts.filter(Boolean).join(" · ");
    box.append(line);
    if (answer.error) box.append(...part("Error", answer.error));
    if (answer.output !== null) box.append(...part("Output", answer.output));
    if (answer.prompt !== null) box.append(...part("Prompt", answer.prompt));
    if (Object.keys(answer.details).length) box.append(...part("Details", JSON.stringify(answer.details, null, 1)));
    return box;
  }

  async function choose(at) {
    chosen = at;
    draw();
    const entry = (await block(Math.floor(at / BLOCK)))[at % BLOCK];
    if (chosen !== at) return;
    const pane = by("item"), line = document.createElement("p"), answers = document.createElement("div");
    line.className = "dim";
    line.textContent = entry.id + " · " + entry.set + " · " + entry.setting
      + (entry.cluster === entry.question_id ? "" : " · cluster " + entry.cluster);
    answers.className = "answers";
    answers.append(...entry.answers.map(answered));
    pane.className = "";
    pane.replaceChildren(line, ...part("Question", entry.question), ...part("Gold", entry.gold.join("\n")), answers);
  }

  function move(event) {
    const step = {ArrowDown: 1, ArrowUp: -1, PageDown: 12, PageUp: -12}[event.key];
    if (!step || !shown.length) return;
    event.preventDefault();
    const place = Math.max(0, Math.min(shown.length - 1, shown.indexOf(chosen) + step));
    const top = place * HEIGHT;
    if (top < list.scrollTop) list.scrollTop = top;
    if (top + 2 * HEIGHT > list.scrollTop + list.clientHeight) list.scrollTop = top + 2 * HEIGHT - list.clientHeight;
    choose(shown[place]);
  }

  function offer(select, values) {
    for (const value of new Set(values)) select.append(new Option(value, value));
    select.hidden = select.options.length < 3;
  }

  async function begin() {
    index = await unpacked(document.querySelector("script.index"));
    columns.forEach((column, place) => {
      const name = cell(column.name, column.kind);
      name.title = column.name;
      name.onclick = () => {
        sorted = {column: place, down: sorted !== null && sorted.column === place ? !sorted.down : column.kind === "v"};
        arrange();
      };
      head.append(name);
    });
    offer(by("set"), index.map(row => row[0]));
    offer(by("setting"), index.map(row => row[1]));
    by("differ").hidden = !several;
    for (const id of ["set", "setting", "status", "differ"]) by(id).onchange = update;
    let waiting = 0;
    by("search").oninput = () => { clearTimeout(waiting); waiting = setTimeout(update, 200); };
    list.onscroll = draw;
    list.onkeydown = move;
    await update();
  }

  begin();
})();
