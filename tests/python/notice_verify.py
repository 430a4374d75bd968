# Appended to the guide's Python: verifies what a test received, and that nothing else is taken.
import json
import sys

given = json.loads(sys.argv[1])
seen = 0
for message in given["messages"]:
    headers, body = message["headers"], message["body"].encode()
    at = int(headers["webhook-timestamp"])
    told = verify_notice(given["key"], headers, body, now=at)
    assert told == json.loads(body)
    for wrong in (
        (headers, body + b" ", at),
        (headers, body, at + 301),
        (headers, body, at - 301),
        (headers | {"webhook-id": "msg_other"}, body, at),
        (headers | {"webhook-timestamp": str(at + 1)}, body, at),
        (headers | {"webhook-signature": "v1a," + "A" * 86 + "=="}, body, at),
        (headers | {"webhook-signature": ""}, body, at),
    ):
        try:
            verify_notice(given["key"], wrong[0], wrong[1], now=wrong[2])
        except ValueError:
            continue
        raise AssertionError(f"this should have been refused: {wrong}")
    seen += 1
print(seen)
