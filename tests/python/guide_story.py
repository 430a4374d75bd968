# The partner's side of a whole story, played with the functions of the integrators' guide, which stand before this in
# one file. Where people of the holder act, it says so on a line of standard output and waits for a line.

def tell(**what):
    print(json.dumps(what), flush=True)


def wait_for_the_holder(**what):
    tell(**what)
    assert sys.stdin.readline().strip() == "done", "the holder's people did not do their part"


story = json.loads(sys.argv[1])
channel = connect(story["address"], story["ca"], story["certificate"], story["key"])
log_key = pathlib.Path(story["log_key"]).read_text().strip()
common = dict(collection="watch-face", purpose="border-identity", case="C-2026-41", official="officer-2b",
              legal_basis="Example Act, s 10")

tell(fresh_sample_digest=fresh_sample_digest(story["request_id"], story["mate"], 77).hex())

assert own_extractor_is_the_schemes(channel, lambda name: story["vectors"][name]), "the test vectors should agree"
assert not own_extractor_is_the_schemes(channel, lambda name: story["vectors"][name][::-1]), "another extractor passed"

hit = ask(channel, story["mate"], 80, **common)
stranger = ask(channel, story["stranger"], 80, **common)
for answered in (hit, stranger):
    check_answer(answered, log_key)
assert hit.answer == query_pb2.ANSWER_HIT, "an enrolled person should be a hit"
assert stranger.answer == query_pb2.ANSWER_NO_HIT, "a stranger should be none"
try:
    check_answer(query_pb2.AskQueryResponse(
        query=stranger.query, answer=query_pb2.ANSWER_HIT, receipt=stranger.receipt), log_key)
    raise SystemExit("a receipt that says otherwise was taken")
except ValueError:
    pass

new_release_key("release.key")
secret = read_release_key("release.key")
wait_for_the_holder(change=register_release_key(channel, "au-border", secret))

asked = request_disclosure(
    channel, story["key"], hit.query, story["fields"], purpose="border-identity", legal_basis="Example Act, s 10",
    justification="two different names were given at the counter", official="officer-2b")
assert asked.disclosure.state == disclosure_pb2.DISCLOSURE_STATE_PENDING
wait_for_the_holder(disclosure=asked.disclosure.name)

state = wait_for_decision(channel, asked.disclosure.name, every_s=0.1)
assert state == disclosure_pb2.DISCLOSURE_STATE_RELEASED, f"it should be released, it is {state}"
fields, digest = fetch_and_open(channel, secret, asked, "au-border", log_key)
acknowledge(channel, asked.disclosure.name, digest)
seen = list(watch(channel, asked.disclosure.name))
assert [found.state for found in seen] == [disclosure_pb2.DISCLOSURE_STATE_ACKNOWLEDGED], seen
acknowledge_corrections(channel, seen[-1], lambda *_: tell(correction="there is none"))
try:
    fetch_and_open(channel, secret, asked, "au-border", log_key)
    raise SystemExit("a release could be fetched after it was acknowledged")
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
tell(fields={field["field"]: field["value"] for field in fields})
