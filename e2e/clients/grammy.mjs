// Send the texts that standard input lists ({token, chat, texts}) with grammY,
// and print one JSON line for each. grammY reads no proxy variables; its agent
// is told.
import { readFileSync } from 'node:fs';
import { Bot, GrammyError } from 'grammy';
import { HttpsProxyAgent } from 'https-proxy-agent';

const { token, chat, texts } = JSON.parse(readFileSync(0, 'utf8'));
const agent = new HttpsProxyAgent(process.env.HTTPS_PROXY);
const bot = new Bot(token, { client: { baseFetchConfig: { agent, compress: true } } });

for (const [i, text] of texts.entries()) {
  const out = { n: i + 1 };
  try {
    const answer = await bot.api.sendMessage(chat, text);
    out.status = 200;
    out.body = JSON.stringify({ ok: true, result: answer });
  } catch (err) {
    out.error = err instanceof GrammyError ? 'GrammyError' : String(err);
    out.status = err.error_code;
    out.body = JSON.stringify({ ok: false, error_code: err.error_code, description: err.description, parameters: err.parameters });
  }
  console.log(JSON.stringify(out));
}
