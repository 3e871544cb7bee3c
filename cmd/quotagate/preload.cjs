'use strict';
// Brings a Node program through the proxy that HTTPS_PROXY names. quotagate
// puts it into NODE_OPTIONS as --require, since the programs read no proxy
// variables by themselves:
//
//   fetch        Node does it alone from 22.21 and 24.5 on (NODE_USE_ENV_PROXY);
//                before, undici's global dispatcher is replaced here.
//   node:https   Node does it alone for the global agent only; every other
//                agent of Node's own kind gets it here. Agents that make their
//                connections themselves, such as https-proxy-agent, are left.
//
// node:http, node:http2 and WebSockets by "ws" are not led: no service that
// quotagate knows takes messages that way.
//
// CommonJS without dependencies, for Node 16 and newer. What goes wrong here
// must never stop the program.

const http = require('node:http');
const https = require('node:https');
const tls = require('node:tls');
const { isIP } = require('node:net');
const { createRequire } = require('node:module');

const env = (name) => process.env[name.toLowerCase()] || process.env[name.toUpperCase()] || '';

let proxy;
try {
  proxy = new URL(env('https_proxy') || env('all_proxy'));
} catch {
  // no proxy, or one that is none of ours
}
if (/^https?:$/.test(proxy?.protocol ?? '') && !globalThis[Symbol.for('quotagate.preload')]) {
  globalThis[Symbol.for('quotagate.preload')] = true;
  for (const govern of [governAgents, governFetch]) {
    try {
      govern();
    } catch (err) {
      process.emitWarning(`quotagate could not lead all requests through ${proxy.host}: ${err.message}`);
    }
  }
}

function credentials() {
  if (!proxy.username) return undefined;
  const pair = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}

// What the URL leaves out, and the brackets that connecting does not take.
function proxyHost() {
  return proxy.hostname.replace(/^\[|\]$/g, '');
}

function proxyPort() {
  return proxy.port || (proxy.protocol === 'https:' ? '443' : '80');
}

// direct tells whether NO_PROXY, or reason, keeps a host off the proxy.
function direct(host, port) {
  host = host.toLowerCase().replace(/^\[|\]$/g, '');
  if (host === proxyHost() && String(port) === proxyPort()) return true;
  return env('no_proxy').toLowerCase().split(/[\s,]+/).filter(Boolean).some((entry) => {
    if (entry === '*') return true;
    const withPort = /^([^:]+|\[.*\]):(\d+)$/.exec(entry);
    if (withPort && withPort[2] !== String(port)) return false;
    const name = (withPort ? withPort[1] : entry).replace(/^\*?\.|^\[|\]$/g, '');
    return host === name || host.endsWith(`.${name}`);
  });
}

// tunnel opens a connection to host:port by CONNECT.
function tunnel(host, port, done) {
  const target = `${host.includes(':') ? `[${host.replace(/^\[|\]$/g, '')}]` : host}:${port}`;
  const headers = { Host: target };
  if (credentials()) headers['Proxy-Authorization'] = credentials();
  const connect = (proxy.protocol === 'https:' ? https : http).request({
    method: 'CONNECT', path: target, headers, agent: false,
    host: proxyHost(), port: proxyPort(),
    servername: isIP(proxyHost()) ? '' : proxyHost(), // not that of the Host above
  });
  connect.once('error', done);
  connect.once('connect', (answer, socket) => {
    if (answer.statusCode === 200) return done(null, socket);
    socket.destroy();
    done(new Error(`the proxy ${proxy.host} answered CONNECT ${target} with ${answer.statusCode} ${answer.statusMessage}`));
  });
  connect.end();
}

function governAgents() {
  const own = https.Agent.prototype.createConnection;
  https.Agent.prototype.createConnection = function createConnection(options, callback) {
    const host = options?.host ?? options?.hostname;
    const port = options?.port || 443;
    // proxyEnv: an agent that Node itself leads through the proxy.
    if (!host || !callback || options.socketPath || options.socket || this.options?.proxyEnv || direct(host, port)) {
      return own.apply(this, arguments);
    }
    tunnel(host, port, (err, socket) => {
      if (err) return callback(err);
      callback(null, own.call(this, { ...options, socket }));
    });
    return undefined;
  };
}

function governFetch() {
  if (typeof fetch !== 'function') return;
  // Node's own undici cannot be required. It puts its agent under this symbol
  // as soon as one of its globals is used, and the agent's class makes ours.
  // The package undici, up to version 7, takes its agent from the same place.
  void globalThis.Response;
  const place = Symbol.for('undici.globalDispatcher.1');
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (!(major > 24 || (major === 24 && minor >= 5) || (major === 22 && minor >= 21))) {
    globalThis[place] = new globalThis[place].constructor({ connect: connector });
  }
  // From version 8 on it has a place of its own, and sets both.
  const ours = globalThis[place];
  const undici = programsUndici();
  if (undici && undici.getGlobalDispatcher() !== ours) {
    undici.setGlobalDispatcher(new undici.Agent({ connect: connector }));
  }
}

// programsUndici is the package undici that the program itself would load.
function programsUndici() {
  for (const from of [process.argv[1], `${process.cwd()}/program.js`]) {
    try {
      return createRequire(from)('undici');
    } catch {
      // none there, or none for this Node
    }
  }
  return undefined;
}

// connector makes the connections of undici's Agent.
function connector({ hostname, port, protocol, servername }, callback) {
  const secure = protocol === 'https:';
  port = port || (secure ? 443 : 80);
  const finish = (socket, ready) => {
    socket.once(ready, () => callback(null, socket)).once('error', callback);
  };
  const handshake = (options) => {
    const name = servername || hostname;
    finish(tls.connect({ ...options, servername: /^[\d.]+$|:/.test(name) ? '' : name, ALPNProtocols: ['http/1.1'] }), 'secureConnect');
  };
  if (direct(hostname, port)) {
    if (secure) handshake({ host: hostname, port });
    else finish(require('node:net').connect({ host: hostname, port }), 'connect');
    return;
  }
  tunnel(hostname, port, (err, socket) => {
    if (err) callback(err);
    else if (secure) handshake({ socket });
    else callback(null, socket);
  });
}
