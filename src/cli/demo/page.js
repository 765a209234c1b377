// The demo's page: two users, each with the sockets that their flag asks for.
// It talks to Outrigger's address only, as any frontend would.

const FRAMES_SHOWN = 100;
const POLL_MS = 1000;
const RECONNECT_MS = 1000;

const $ = (selector, root = document) => root.querySelector(selector);
const show = (id, value) => { $(`#${id}`).textContent = value; };
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

let frames = 0;
let generation = null;
let turnedTo = null;
let file = [];
let people = [];

/** Asks Outrigger, and through it the app. */
async function ask(path, { token, body } = {}) {
  const headers = {};
  if (token) headers.authorization = `Bearer ${token}`;
  if (body) headers['content-type'] = 'application/json';
  const method = body ? 'POST' : 'GET';
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const json = await answer.json();
  if (!answer.ok) throw new Error(json.detail ?? `${path} answered ${answer.status}`);
  return json;
}

/** One WebSocket and its line in the table. */
class Socket {
  static last = 0;

  constructor(person, path) {
    Object.assign(this, { person, path, id: `${person.login}-${++Socket.last}`, frames: 0, wanted: true });
    const url = new URL(path, location.href.replace(/^http/, 'ws'));
    url.search = new URLSearchParams({ token: person.token, socket: this.id });
    this.ws = new WebSocket(url);
    this.opened = new Promise((open, fail) => {
      this.ws.onopen = () => open(this);
      this.ws.onclose = () => { fail(new Error(`${path} was closed`)); this.closed(); };
    });
    this.ws.onmessage = ({ data }) => person.received(this, data);
  }

  get isOpen() { return this.ws.readyState === WebSocket.OPEN; }

  close() {
    this.wanted = false;
    this.ws.close();
  }

  /** A socket that was not closed by us is opened again. */
  async closed() {
    if (!this.wanted || !this.person.sockets.includes(this)) return;
    await wait(RECONNECT_MS * (0.5 + Math.random()));
    this.person.settle(true);
  }

  row(held) {
    const row = document.createElement('tr');
    const leg = !this.isOpen ? 'connecting' : held.has(this.id) ? 'app' : 'feed';
    const words = { connecting: 'connecting', app: 'app leg, relayed', feed: 'feed leg' };
    const badge = Object.assign(document.createElement('span'), { className: `leg ${leg}`, textContent: words[leg] });
    const count = `${this.frames} ${this.frames === 1 ? 'frame' : 'frames'}`;
    row.append(...[this.path, badge, count].map((content) => {
      const cell = document.createElement('td');
      cell.append(content);
      return cell;
    }));
    return row;
  }
}

/** A user, as the app's frontend would be in their own browser. */
class Person {
  constructor({ access, user, chat }, other) {
    Object.assign(this, { ...user, token: access, chat, other, sockets: [], unread: [], settling: null, old: false });
    this.seen = null;
    this.build();
  }

  build() {
    const part = $('#person').content.cloneNode(true);
    this.root = $('.person', part);
    const named = (selector, name, text) => { $(selector, this.root)[name] = text; };
    named('.name', 'textContent', this.username);
    named('caption', 'textContent', `Sockets of ${this.username}`);
    named('[data-do=friend]', 'textContent', `Friend request to ${this.other.username}`);
    named('[data-do=notify]', 'textContent', `Notify ${this.other.username}`);
    named('.chat input', 'placeholder', `Message to ${this.other.username}`);
    named('.chat input', 'ariaLabel', `Message from ${this.username} to ${this.other.username}`);
    named('.frames', 'ariaLabel', `Frames of ${this.username}, newest first`);
    named('[data-do=friend]', 'onclick', () => this.call('/api/friend-requests/', { to: this.other.id }));
    named('[data-do=notify]', 'onclick', () =>
      this.call('/api/notifications/', { to: this.other.id, text: `${this.username} says hello` }));
    named('[data-do=read]', 'onclick', () => this.markAsRead());
    named('.chat', 'onsubmit', (event) => this.write(event));
    named('.old input', 'onchange', ({ target }) => { this.old = target.checked; this.settle(); });
    const empty = Object.assign(document.createElement('li'), { className: 'empty', textContent: 'Frames appear here, as they arrive.' });
    $('.frames', this.root).append(empty);
    $('.file').before(part);
  }

  /** Calls the app's HTTP API, through Outrigger. */
  async call(path, body) {
    try {
      await ask(path, { token: this.token, body });
      refresh();
    } catch (error) {
      report(error.message, 'failed');
    }
  }

  async write(event) {
    event.preventDefault();
    const input = $('.chat input', this.root);
    const content = input.value.trim();
    input.value = '';
    if (content) await this.call(`/api/chats/${this.chat}/messages/`, { content });
  }

  /** A client's own message: over whichever socket carries notifications now. */
  markAsRead() {
    const socket = this.sockets.find(({ path }) => /notifications|realtime/.test(path));
    if (!socket?.isOpen) return;
    const text = JSON.stringify({ action: 'mark_as_read', notification_id: this.unread.pop() });
    socket.ws.send(text);
    this.log(socket, text, 'sent');
  }

  received(socket, text) {
    // While moving, both the old and the new sockets are open: a frame that came
    // by both is one frame. Its bytes are the same on both legs.
    if (this.seen?.has(text)) return;
    this.seen?.add(text);
    socket.frames += 1;
    show('frames', frames += 1);
    const { type, notification } = JSON.parse(text);
    if (type === 'notification') {
      this.unread = this.unread.filter((id) => id !== notification.id);
      if (!notification.is_read) this.unread.push(notification.id);
    }
    this.log(socket, text, 'heard');
  }

  log(socket, text, way) {
    const item = Object.assign(document.createElement('li'), { className: way });
    const line = document.createElement('p');
    const time = document.createElement('time');
    const now = new Date();
    time.textContent = `${now.toLocaleTimeString('en-GB')}.${String(now.getMilliseconds()).padStart(3, '0')}`;
    const place = Object.assign(document.createElement('span'), { textContent: socket.path });
    line.append(time, way === 'sent' ? 'sent' : '', place);
    item.append(line, marked(text));
    const list = $('.frames', this.root);
    $('.empty', list)?.remove();
    list.prepend(item);
    while (list.children.length > FRAMES_SHOWN) list.lastChild.remove();
    $('[data-do=read]', this.root).disabled = this.unread.length === 0;
    render();
  }

  /** Opens the sockets that the flag asks for, then closes those of before. One at a time. */
  settle(again = false) {
    this.settling = (this.settling ?? Promise.resolve()).then(() => this.move(again)).catch(async (error) => {
      report(error.message, 'failed');
      await wait(RECONNECT_MS);
      this.settle(again);
    });
    return this.settling;
  }

  async move(again) {
    const unified = !this.old && await realtimeFlag(this.token);
    const words = { true: 'flag says realtime', false: 'flag says legacy' };
    $('.mode', this.root).textContent = this.old ? 'reads no flag' : words[unified];
    const paths = unified
      ? ['/ws/realtime/']
      : ['/ws/notifications/', '/ws/friend-requests/', `/ws/messages/${this.chat}`];
    const before = this.sockets;
    const settled = before.map(({ path }) => path).join() === paths.join();
    if (settled && (!again || before.every(({ isOpen }) => isOpen))) return;
    this.seen = new Set();
    const fresh = paths.map((path) => new Socket(this, path));
    try {
      await Promise.all(fresh.map(({ opened }) => opened));
    } catch (error) {
      fresh.forEach((socket) => socket.close());
      throw error;
    }
    this.sockets = fresh;
    before.forEach((socket) => socket.close());
    this.seen = null;
    await refresh();
  }
}

/** Outrigger's own answer to which way this user's sockets go. */
async function realtimeFlag(token) {
  const { endpoints } = await ask('/outrigger/flags', { token });
  return endpoints.realtime.realtime;
}

/** The exact text, with its type made visible. */
function marked(text) {
  const code = document.createElement('code');
  const [, head, type, tail] = text.match(/^(.*?"(?:type|action)":\s*)("[^"]*")(.*)$/s) ?? [, text, '', ''];
  const mark = Object.assign(document.createElement('mark'), { textContent: type });
  code.append(head, mark, tail);
  return code;
}

function report(text, outcome) {
  Object.assign($('#reload'), { textContent: text, className: outcome });
}

const openSockets = () => people.flatMap(({ sockets }) => sockets).filter(({ isOpen }) => isOpen);

/** Turns the switch: the app edits the file, Outrigger notices by itself. */
async function turn(rollout) {
  const before = openSockets();
  try {
    const { before: from, after, took_ms: took } = await ask('/demo/rollout', { body: { rollout } });
    turnedTo = after;
    const stayed = before.filter(({ isOpen }) => isOpen).length;
    const change = from === after ? `Generation ${after} already says so` : `Generation ${from} → ${after} in ${took} ms`;
    report(`${change}; ${stayed} of ${before.length} sockets stayed open`, 'done');
  } catch (error) {
    report(error.message, 'failed');
  }
  await refresh();
}

let held = new Set();

function render() {
  for (const { root, sockets } of people) {
    $('tbody', root).replaceChildren(...sockets.map((socket) => socket.row(held)));
  }
  show('sockets', openSockets().length);
}

/** Asks the app how things stand, and follows a new generation of the routing. */
async function refresh() {
  const state = await ask('/demo/state');
  held = new Set(state.held.map(({ socket }) => socket));
  show('relayed', held.size);
  show('webhooks', state.webhooks);
  show('generation', state.generation);
  show('path', state.path);
  $('#relayed').closest('.link').classList.toggle('idle', held.size === 0);
  for (const link of document.querySelectorAll('[data-admin]')) link.href = state.admin + link.dataset.admin;
  const changed = generation !== null && generation !== state.generation;
  if (state.refused) report('The file is refused and the running table stays; see the log', 'failed');
  else if (changed && state.generation !== turnedTo) report(`Generation ${state.generation}: the edited file is in force`, 'done');
  showFile(state.toml);
  render();
  if (changed) people.forEach((person) => person.settle());
  generation = state.generation;
}

function showFile(text) {
  const lines = text.trimEnd().split('\n');
  if (lines.join() === file.join()) return;
  const isChanged = (line, at) => file.length > 0 && (lines.length === file.length ? line !== file[at] : !file.includes(line));
  const spans = lines.map((line, at) => Object.assign(document.createElement('span'), {
    textContent: line,
    className: isChanged(line, at) ? 'changed' : line.startsWith('rollout') ? 'rule' : '',
  }));
  const pre = $('#toml');
  pre.replaceChildren(...spans);
  const first = spans.find(({ className }) => className === 'changed');
  if (first) pre.scrollTop = first.offsetTop - pre.offsetTop - 48;
  const rules = new Set(lines.filter((line) => line.startsWith('rollout')));
  for (const radio of document.querySelectorAll('[name=rollout]')) {
    radio.checked = rules.size === 1 && rules.has(`rollout = "${radio.value}"`);
  }
  file = lines;
}

async function start() {
  const logins = await Promise.all(['ada', 'zoe'].map((user) => ask('/api/login', { body: { user } })));
  const [ada, zoe] = logins;
  people = [new Person(ada, zoe.user), new Person(zoe, ada.user)];
  for (const radio of document.querySelectorAll('[name=rollout]')) radio.onchange = () => turn(radio.value);
  await refresh();
  await Promise.all(people.map((person) => person.settle()));
  setInterval(() => refresh().catch((error) => report(error.message, 'failed')), POLL_MS);
}

start().catch((error) => report(error.message, 'failed'));
