// Post the texts that standard input lists ({token, channel, texts}) with
// Slack's own SDK, and print one JSON line for each.
//
//   node slack.mjs @slack/web-api       newest; it reads no proxy variables: run it with `quotagate exec --`
//   node slack.mjs @slack/web-api agent newest; told of the proxy by its fetch option
//   node slack.mjs @slack/web-api-7 agent   version 7; told of the proxy by its agent option
import { readFileSync } from 'node:fs';

const [name, how] = process.argv.slice(2);
const { WebClient, LogLevel } = await import(name);
const { token, channel, texts } = JSON.parse(readFileSync(0, 'utf8'));

const options = { logLevel: LogLevel.ERROR };
if (how === 'agent' && name.endsWith('-7')) {
  const { HttpsProxyAgent } = await import('https-proxy-agent');
  options.agent = new HttpsProxyAgent(process.env.HTTPS_PROXY);
} else if (how === 'agent') {
  const { ProxyAgent, fetch } = await import('undici');
  const dispatcher = new ProxyAgent(process.env.HTTPS_PROXY);
  options.fetch = (url, init) => fetch(url, { ...init, dispatcher });
}
const client = new WebClient(token, options);

for (const [i, text] of texts.entries()) {
  const out = { n: i + 1 };
  try {
    const answer = await client.chat.postMessage({ channel, text });
    out.status = 200;
    out.body = JSON.stringify(answer);
  } catch (err) {
    out.error = err.code ?? String(err);
    out.body = JSON.stringify(err.data ?? { message: err.message });
  }
  console.log(JSON.stringify(out));
}
