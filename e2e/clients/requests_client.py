"""Send the requests that standard input lists (a JSON array) with Python's
requests, and print one JSON line for each."""
import json
import sys

import requests

session = requests.Session()
for n, want in enumerate(json.load(sys.stdin), 1):
    out = {"n": n}
    try:
        kwargs = {}
        if want.get("body"):
            kwargs["data"] = want["body"]  # a str: no Content-Type of its own
        elif want.get("json") is not None:
            kwargs["json"] = want["json"]
        elif want.get("form"):
            kwargs["data"] = want["form"]
        elif want.get("multipart"):
            kwargs["files"] = {k: (None, v) for k, v in want["multipart"].items()}
        answer = session.request(want["method"], want["url"], headers=want.get("headers"), **kwargs)
        out.update(status=answer.status_code, body=answer.text,
                   headers={k.lower(): v for k, v in answer.headers.items()})
    except requests.RequestException as err:
        out["error"] = f"{type(err).__name__}: {err}"
    print(json.dumps(out), flush=True)
