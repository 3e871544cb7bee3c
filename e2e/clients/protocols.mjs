// What Node's clients do on the wire: an upload whose next piece waits for the
// service, events as they come, a WebSocket. Prints what it got.
import { EventSource, ProxyAgent, WebSocket, fetch } from 'undici';

const [what, url] = process.argv.slice(2);
const dispatcher = new ProxyAgent({ uri: process.env.https_proxy, allowH2: false });
const get = (path) => fetch(url + path, { dispatcher }).then((answer) => answer.text());

switch (what) {
  case 'fetch': {
    async function* pieces() {
      yield new TextEncoder().encode('first,');
      await get('/seen?upload'); // answered once the service has the first piece
      yield new TextEncoder().encode('second');
    }
    const answer = await fetch(url + '/slowly?upload', { method: 'POST', body: pieces(), duplex: 'half', dispatcher });
    console.log(await answer.text());
    break;
  }
  case 'EventSource': {
    const events = new EventSource(url + '/events?node', { dispatcher });
    const seen = [];
    await new Promise((done, failed) => {
      events.onerror = () => (seen.length === 2 ? done() : failed(new Error('no more events')));
      events.onmessage = async ({ data }) => {
        seen.push(data);
        if (seen.length === 1) await get('/seen?node'); // the second comes only now
        if (seen.length === 2) done();
      };
    });
    events.close();
    console.log(seen.join());
    break;
  }
  case 'WebSocket': {
    const socket = new WebSocket(url.replace('https:', 'wss:') + '/socket', { dispatcher });
    const said = [];
    await new Promise((done, failed) => {
      socket.onerror = ({ message }) => failed(new Error(message));
      socket.onopen = () => socket.send('one');
      socket.onmessage = ({ data }) => {
        said.push(data);
        if (said.length < 3) socket.send('x'.repeat(70000));
        else socket.close(1000);
      };
      socket.onclose = ({ code }) => done(said.push(code));
    });
    console.log(said.map((s) => String(s).slice(0, 5)).join());
    break;
  }
}
await dispatcher.close();
