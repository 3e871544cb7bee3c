// Send the requests that standard input lists (a JSON array) with axios, and
// print one JSON line for each.
//
//   node axios.mjs axios        the newest: CONNECT
//   node axios.mjs axios-1.7    1.7.9: POST https://… in absolute form, no CONNECT
import { readFileSync } from 'node:fs';

const { default: axios } = await import(process.argv[2]);
const wants = JSON.parse(readFileSync(0, 'utf8'));

for (const [i, want] of wants.entries()) {
  const out = { n: i + 1 };
  let data = want.body ?? want.json;
  const headers = { ...want.headers };
  if (want.form) data = new URLSearchParams(want.form);
  if (want.multipart) {
    data = want.multipart;
    headers['Content-Type'] = 'multipart/form-data';
  }
  try {
    const answer = await axios.request({
      method: want.method,
      url: want.url,
      headers,
      data,
      responseType: 'text',
      transformResponse: (text) => text,
      validateStatus: () => true,
    });
    out.status = answer.status;
    out.body = answer.data;
    out.headers = Object.fromEntries(Object.entries(answer.headers));
  } catch (err) {
    out.error = `${err.code}: ${err.message}`;
  }
  console.log(JSON.stringify(out));
}
