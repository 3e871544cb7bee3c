"""What Python's clients do on the wire, one argument each: uploads of unknown
length, HTTP/2, and events as they come. Prints what it got."""
import http.client
import io
import os
import ssl
import sys
import urllib.parse

what, url = sys.argv[1:3]
proxy = urllib.parse.urlsplit(os.environ["https_proxy"])
pieces = [b"x" * 1000] * 300

if what == "http.client":
    to = urllib.parse.urlsplit(url)
    conn = http.client.HTTPSConnection(proxy.hostname, proxy.port, context=ssl.create_default_context())
    conn.set_tunnel(to.hostname, to.port)
    conn.request("POST", "/upload", body=iter(pieces), encode_chunked=True,
                 headers={"Transfer-Encoding": "chunked"})
    print(conn.getresponse().read().decode())
elif what == "requests":
    import requests
    # Before 2.29 it sent an iterator's pieces to the proxy without a CONNECT.
    print(requests.post(url + "/upload?file", data=io.BytesIO(b"".join(pieces))).text)
    # The service goes on only when the first event was seen here.
    with requests.get(url + "/events?requests", stream=True) as events:
        lines = events.iter_lines(chunk_size=1)
        print(next(lines).decode())
        requests.get(url + "/seen?requests")
        print([line.decode() for line in lines if line])
elif what == "httpx":
    import httpx
    with httpx.Client(http2=True) as client:
        answer = client.post(url + "/upload", content=iter(pieces))
        print(answer.http_version, answer.text)
        with client.stream("GET", url + "/events?httpx") as events:
            lines = events.iter_lines()
            print(next(lines).strip())
            client.get(url + "/seen?httpx")
            print([line.strip() for line in lines if line.strip()])
