// What the page shows live: whether this browser trusts the certificate, and
// the visitor's requests. Without scripts the page says the same when loaded.
'use strict';

const byId = (id) => document.getElementById(id);

function state(id, kind, text) {
  const item = byId(id);
  if (item.className === kind && item.lastElementChild.textContent === text) return;
  item.className = kind;
  item.lastElementChild.textContent = text;
}

// An answer by TLS, whatever it says, is the proof; a browser that does not
// trust the certificate gives an error and no reason.
const askAgain = 3000; // ms, while it is not trusted and somebody looks
async function trust() {
  try {
    await fetch('https://quotagate.internal/ok', { cache: 'no-store', credentials: 'omit' });
    state('trust', 'ok', 'this browser trusts it');
  } catch {
    state('trust', 'bad', 'this browser does not trust it yet: see below');
    setTimeout(whenSeen, askAgain);
  }
}
function whenSeen() {
  if (!document.hidden) return trust();
  document.addEventListener('visibilitychange', whenSeen, { once: true });
}

function line(visit) {
  const item = document.createElement('li');
  item.className = visit.decision;
  const time = document.createElement('time');
  time.dateTime = visit.time;
  time.textContent = new Date(visit.time).toLocaleTimeString();
  const host = document.createElement('code');
  host.textContent = visit.host;
  item.append(time, ' ', host, ' ' + visit.text);
  return item;
}

function show(seen) {
  const lines = [];
  if (seen.first) {
    state('first', 'ok', 'your first request came through');
    lines.push(line(seen.first));
  }
  lines.push(...seen.latest.map(line));
  if (seen.untrusted) {
    lines.push(line(seen.untrusted));
    if (!seen.first) state('first', 'bad', 'a client came, and did not trust the certificate');
  }
  byId('waiting').hidden = Boolean(seen.first);
  byId('requests').replaceChildren(...lines);
}

function copyButtons() {
  if (!navigator.clipboard && !document.queryCommandSupported?.('copy')) return;
  for (const pre of document.querySelectorAll('pre')) {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'copy';
    button.textContent = 'Copy';
    button.setAttribute('aria-label', 'Copy: ' + (pre.parentElement.querySelector('summary')?.textContent ?? 'get the files'));
    button.addEventListener('click', async () => {
      button.textContent = (await copy(pre.querySelector('code'))) ? 'Copied' : 'Select it, then Ctrl+C';
      setTimeout(() => { button.textContent = 'Copy'; }, 2000);
    });
    pre.before(button);
  }
}

// The clipboard is for pages by TLS; the older way works on both.
async function copy(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(code);
    return document.execCommand('copy');
  }
}

copyButtons();
trust();
new EventSource('/events').onmessage = (event) => show(JSON.parse(event.data));
