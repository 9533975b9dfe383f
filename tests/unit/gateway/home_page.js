// As much of a browser as the page at / needs. `calls` are its requests, which a test answers when it likes.
class Element {
  constructor(name) {
    Object.assign(this, {name, dataset: {}, attributes: {}, content: [], hidden: false});
  }
  append(one) { this.content.push(one); }
  replaceChildren(...all) { this.content = all; }
  setAttribute(name, value) { this.attributes[name] = value; }
  insertCell() { return this.insert(new Element("td"), -1); }
  insertRow(at) { return this.insert(new Element("tr"), at); }
  insert(one, at) { this.content.splice(at < 0 ? this.content.length : at, 0, one); return one; }
  get rows() { return this.content; }
  get cells() { return this.content; }
  get tBodies() { return [this.body ??= new Element("tbody")]; }
  get textContent() { return this.content.map(one => one.textContent ?? String(one)).join(""); }
  set textContent(text) { this.content = [text]; }
}

const elements = {}, calls = [];
globalThis.document = {
  getElementById: id => elements[id] ??= new Element(id),
  createElement: name => new Element(name),
};
globalThis.confirm = () => true;
globalThis.setTimeout = globalThis.clearTimeout = () => 0;
globalThis.fetch = (url, {method}) => new Promise(resolve => calls.push({
  url, method, answer: (status, body) => resolve({ok: status < 400, status, json: async () => body}),
}));

async function answered(status, body, call = calls.at(-1)) {
  call.answer(status, body);
  await new Promise(setImmediate);
}
const run = (status, done = 1) => ({
  id: "eval-1", suite: "rag-qa", status, progress: {done, total: 9, failed: 0}, created: 0,
});
const list = (...data) => ({data, last_id: data.at(-1)?.id ?? null, has_more: true});
const row = () => elements.runs.tBodies[0].rows[0];
const shows = () => ({
  fault: elements.fault.textContent, hidden: elements.fault.hidden, status: row()?.cells[2].textContent,
  done: row()?.cells[3].textContent, cancel: row()?.cells[6].textContent,
});
const press = () => { row().cells[6].content[0].onclick(); };
