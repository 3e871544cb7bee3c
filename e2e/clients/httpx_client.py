"""Send the requests that standard input lists (a JSON array) with httpx, and
print one JSON line for each."""
import json
import sys

import httpx

with httpx.Client() as client:
    for n, want in enumerate(json.load(sys.stdin), 1):
        out = {"n": n}
        try:
            kwargs = {}
            if want.get("body"):
                kwargs["content"] = want["body"]
            elif want.get("json") is not None:
                kwargs["json"] = want["json"]
            elif want.get("form"):
                kwargs["data"] = want["form"]
            elif want.get("multipart"):
                kwargs["files"] = {k: (None, v) for k, v in want["multipart"].items()}
            answer = client.request(want["method"], want["url"], headers=want.get("headers"), **kwargs)
            out.update(status=answer.status_code, body=answer.text, proto=answer.http_version,
                       headers={k.lower(): v for k, v in answer.headers.items()})
        except httpx.HTTPError as err:
            out["error"] = f"{type(err).__name__}: {err}"
        print(json.dumps(out), flush=True)
