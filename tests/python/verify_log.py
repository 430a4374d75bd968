"""Verifies exports and receipts of Onebit's log: a second verifier, written from docs/audit-log.md alone.

    verify_log.py journal DIR --key KEY [--since CHECKPOINT] [--receipts FILE ...] [--show]
    verify_log.py receipt FILE --key KEY [--show]
    verify_log.py page PAGE        derives every value of the page's example again

KEY is the journal's verifier key or a file with it. Ends with 0 when everything holds, with 1 and a line that begins
with `REFUSED:` when something doesn't, with 2 when the arguments are wrong or something can't be read. Needs Python
3.11 and `cryptography`. The numbers of kinds and facts are read from the page's own tables.
"""

import argparse
import base64
import binascii
import datetime
import hashlib
import os
import pathlib
import re
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "audit-log.md"


class Refused(Exception):
    """Something differs from its form, or does not hold."""


def refuse_unless(holds, what):
    if not holds:
        raise Refused(what)


def sha256(data):
    return hashlib.sha256(data).digest()


def from_base64(text, what):
    """Base64 as RFC 4648, section 4, has it: one text for each value."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(f"{what} is not base64") from None
    refuse_unless(base64.b64encode(data).decode() == text, f"{what} is not base64 in its only form")
    return data


def hash_from(text, what):
    data = from_base64(text, what)
    refuse_unless(len(data) == 32, f"{what} is not a hash of 32 bytes")
    return data


def number_from(text, what):
    refuse_unless(re.fullmatch("0|[1-9][0-9]*", text, re.ASCII) and int(text) < 1 << 64, f"{what} is not a number")
    return int(text)


def text_from(data, what):
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Refused(f"{what} is not UTF-8") from None


# --- keys, notes and checkpoints -------------------------------------------------------------------------------------


def is_name(name):
    return name != "" and not any(c.isspace() or c == "+" or ord(c) < 32 or 127 <= ord(c) < 160 for c in name)


class VerifierKey:
    """`origin+hexadecimal key id+base64(0x01 ‖ public key)`."""

    def __init__(self, text):
        parts = text.split("+", 2)
        if len(parts) != 3:
            raise ValueError("this is not a verifier key")
        self.text, self.origin = text, parts[0]
        try:
            key = from_base64(parts[2], "the verifier key")
        except Refused as refused:
            raise ValueError(str(refused)) from None
        self.id = sha256(self.origin.encode() + b"\n" + key)[:4]
        if len(key) != 33 or key[0] != 1 or not is_name(self.origin) or parts[1] != self.id.hex():
            raise ValueError("this is not a verifier key, or its id is another's")
        self.public_key = Ed25519PublicKey.from_public_bytes(key[1:])


def open_checkpoint(data, key, what="the checkpoint"):
    """Size and root of a checkpoint that the key signed."""
    refuse_unless(len(data) <= 256 * 1024, f"{what} has more than 256 KiB")
    note = text_from(data, what)
    refuse_unless(not any(ord(c) < 32 and c != "\n" for c in note), f"{what} holds control characters")
    text, divided, lines = note.rpartition("\n\n")
    refuse_unless(divided and lines.endswith("\n"), f"{what} is no signed note")
    text += "\n"
    lines = lines[:-1].split("\n")
    refuse_unless(len(lines) <= 32, f"{what} has more than 32 signatures")
    signed = False
    for line in lines:
        parts = line.split(" ")
        refuse_unless(len(parts) == 3 and parts[0] == "—" and is_name(parts[1]), f"{what}: a signature is not in its form")
        blob = from_base64(parts[2], f"{what}: a signature")
        refuse_unless(len(blob) > 4, f"{what}: a signature is too short")
        if parts[1] != key.origin or blob[:4] != key.id:
            continue
        try:
            key.public_key.verify(blob[4:], text.encode())
        except InvalidSignature:
            raise Refused(f"{what}: the signature of `{key.origin}` does not hold") from None
        signed = True
    refuse_unless(signed, f"{what} is not signed by `{key.origin}`")
    lines = text[:-1].split("\n")
    refuse_unless(len(lines) == 3, f"{what} has not three lines")
    refuse_unless(lines[0] == key.origin, f"{what} is of another journal")
    return number_from(lines[1], f"the size in {what}"), hash_from(lines[2], f"the root in {what}")


# --- entries and what opens them -------------------------------------------------------------------------------------


def tables(page):
    """Kinds by number, and facts by tag with their forms, as the page's tables have them."""
    def rows(name):
        part = page.split(f"<!-- {name} -->")[1].split("<!-- end of")[0]
        return [[cell.strip().strip("`") for cell in row.strip("|").split("|")] for row in part.strip().split("\n")[2:]]
    kinds = {int(number): name for number, name, *_ in rows("kinds")}
    facts = {int(tag): (name, form) for tag, name, form, *_ in rows("facts")}
    refuse_unless(len(kinds) > 30 and len(facts) > 50, "the page's tables can't be read")
    return kinds, facts


KINDS, FACTS = {}, {}
LENGTHS = {"number": 8, "count": 1, "id": 16, "subject": 16, "digest": 32, "root": 32, "outcome": 1}


def fields_of(record, domain):
    start = domain + b"\0"
    refuse_unless(record.startswith(start), "it is not a record of its domain")
    fields, at, last = {}, len(start), -1
    while at < len(record):
        tag, length = record[at], int.from_bytes(record[at + 1:at + 5], "big")
        value = record[at + 5:at + 5 + length]
        refuse_unless(at + 5 <= len(record) and len(value) == length, "the record is cut off")
        refuse_unless(tag > last, "the record's fields are out of order")
        fields[tag], last, at = value, tag, at + 5 + length
    return fields


def read_event(record):
    """Kind, time, actor, policy, and the facts by name."""
    fields = fields_of(record, b"onebit/event/v1")
    refuse_unless(all(tag in fields for tag in (1, 2, 3, 4)), "the event lacks a field")
    kind, time, actor, policy = (fields.pop(tag) for tag in (1, 2, 3, 4))
    refuse_unless(len(kind) == 8 and len(time) == 8 and len(policy) == 32, "a field of the event is not of its length")
    refuse_unless(len(actor) <= 256, "the event's actor is too long")
    number = int.from_bytes(kind, "big")
    refuse_unless(number in KINDS, f"events of kind {number} are not known: the page is older than the log")
    facts = {}
    for tag, value in fields.items():
        refuse_unless(tag in FACTS, f"facts of tag {tag} are not known: the page is older than the log")
        name, form = FACTS[tag]
        refuse_unless(len(value) <= 8192, f"the fact `{name}` is too long")
        refuse_unless(len(value) == LENGTHS.get(form, len(value)), f"the fact `{name}` is not of its form")
        refuse_unless(form != "outcome" or value in (b"\0", b"\1"), f"the fact `{name}` is not of its form")
        facts[name] = text_from(value, f"the fact `{name}`") if form == "text" else value
    at = int.from_bytes(time, "big", signed=True)
    return KINDS[number], at, text_from(actor, "the actor"), policy, facts


SIDES = {1: b"onebit/commitment/v1/partner", 2: b"onebit/commitment/v1/holder"}
BUCKETS = {512 << doubling for doubling in range(8)}


def open_entry(entry, opening):
    """The event that an opening shows, and its side; refuses what the entry does not commit to."""
    refuse_unless(len(opening) > 17 and opening[0] in SIDES, "the opening is not in its form")
    side, salt, payload = opening[0], opening[1:17], opening[17:]
    refuse_unless(sha256(SIDES[side] + b"\0" + salt + payload) == entry[32 * side - 31:32 * side + 1],
                  "the opening is not that of this entry")
    length = int.from_bytes(payload[:4], "big")
    refuse_unless(len(payload) in BUCKETS and length <= len(payload) - 4, "the payload is not in its form")
    refuse_unless(not payload[4 + length:].strip(b"\0"), "the padding is not zero")
    return side, read_event(payload[4:4 + length])


def check_entry(entry):
    refuse_unless(len(entry) == 65 and entry[0] == 1, "the entry is not in its form")
    return entry


# --- the tree --------------------------------------------------------------------------------------------------------


def leaf_hash(entry):
    return sha256(b"\0" + entry)


def node_hash(left, right):
    return sha256(b"\1" + left + right)


class Tree:
    """Every node of which all leaves are there: `levels[h][n]` is over 2^h leaves."""

    def __init__(self, leaves):
        self.levels = [leaves]
        while len(below := self.levels[-1]) > 1:
            self.levels.append([node_hash(below[n], below[n + 1]) for n in range(0, len(below) - 1, 2)])

    def root(self, size):
        """The root over the first leaves: their largest whole subtrees, joined from the right."""
        if size == 0:
            return sha256(b"")
        parts, done = [], 0
        for height in reversed(range(size.bit_length())):
            if size & 1 << height:
                parts.append(self.levels[height][done >> height])
                done += 1 << height
        root = parts.pop()
        while parts:
            root = node_hash(parts.pop(), root)
        return root


def root_of_inclusion(leaf, index, size, proof):
    """RFC 9162, section 2.1.3.2."""
    refuse_unless(index < size, "the index lies beyond the tree")
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        refuse_unless(sn != 0, "the inclusion proof is too long")
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    refuse_unless(sn == 0, "the inclusion proof is too short")
    return r


# --- receipts --------------------------------------------------------------------------------------------------------


class Receipt:
    """A receipt that holds."""

    def __init__(self, data, key):
        refuse_unless(len(data) <= 512 * 1024, "the receipt has more than 512 KiB")
        head, divided, note = text_from(data, "the receipt").partition("\n\n")
        lines = head.split("\n")
        refuse_unless(divided and len(lines) >= 3 and lines[0] == "c2sp.org/tlog-proof@v1", "this is no receipt")
        refuse_unless(lines[1].startswith("extra ") and lines[2].startswith("index "), "this is no receipt")
        refuse_unless(len(lines) <= 3 + 64, "the receipt's proof is too long")
        extra = from_base64(lines[1][6:], "the receipt's second line")
        self.entry, opening = check_entry(extra[:65]), extra[65:]
        self.index = number_from(lines[2][6:], "the receipt's index")
        proof = [hash_from(line, "a hash of the receipt") for line in lines[3:]]
        self.size, self.root = open_checkpoint(note.encode(), key, "the receipt's checkpoint")
        found = root_of_inclusion(leaf_hash(self.entry), self.index, self.size, proof)
        refuse_unless(found == self.root, "the receipt's entry does not stand in the journal")
        self.opened = open_entry(self.entry, opening) if opening else None


# --- exports ---------------------------------------------------------------------------------------------------------


def path_of(number, width):
    groups = f"{number % 1000:03}"
    while number := number // 1000:
        groups = f"x{number % 1000:03}/{groups}"
    return groups if width == 256 else f"{groups}.p/{width}"


def pieces(count):
    """Number and width of the tiles, or bundles, that hold so many."""
    return [(n, min(256, count - 256 * n)) for n in range((count + 255) // 256)]


class Export:
    """An export in a folder; what it holds is compared when it is made."""

    def __init__(self, folder, key, seen=lambda index, side, event: None):
        self.folder = pathlib.Path(folder)
        self.size, self.signed = open_checkpoint(self.read("checkpoint"), key, "`checkpoint`")
        bundles, due = pieces(self.size), {"checkpoint", "key"}
        tiles = [(level, n, width) for level in range(8) for n, width in pieces(self.size >> 8 * level)]
        due |= {f"tile/{level}/{path_of(n, width)}" for level, n, width in tiles}
        due |= {f"{kind}/{path_of(n, width)}" for kind in ("tile/entries", "openings") for n, width in bundles}
        there = self.paths()
        for path in sorted(there - due):
            raise Refused(f"`{path}` does not belong to the export")
        if "key" in there:
            refuse_unless(self.read("key") == f"{key.text}\n".encode(), "`key` is not the key that was given")
        self.entries = [entry for n, width in bundles for entry in self.bundle(n, width)]
        self.tree = Tree([leaf_hash(entry) for entry in self.entries])
        for level, n, width in tiles:
            path = f"tile/{level}/{path_of(n, width)}"
            derived = b"".join(self.tree.levels[8 * level][256 * n:256 * n + width])
            refuse_unless(self.read(path) == derived, f"`{path}` is not what follows from the entries")
        refuse_unless(self.tree.root(self.size) == self.signed, "the entries don't lead to the signed root")
        opened = {path for path in there if path.startswith("openings/")}
        self.opened = sum(self.openings(n, width, seen) for n, width in bundles) if opened else 0

    def read(self, path):
        try:
            return (self.folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            if not self.folder.is_dir():
                raise
            raise Refused(f"`{path}` is missing") from None

    def paths(self):
        return {
            str(pathlib.Path(at, name).relative_to(self.folder))
            for at, _, names in os.walk(self.folder) for name in names}

    def bundle(self, n, width):
        path = f"tile/entries/{path_of(n, width)}"
        data = self.read(path)
        refuse_unless(len(data) == 67 * width, f"`{path}` does not hold {width} entries")
        for at in range(0, len(data), 67):
            refuse_unless(data[at:at + 3] == b"\x00\x41\x01", f"entry {256 * n + at // 67} is not in its form")
            yield data[at + 2:at + 67]

    def openings(self, n, width, seen):
        path = f"openings/{path_of(n, width)}"
        data, at, opened = self.read(path), 0, 0
        for index in range(256 * n, 256 * n + width):
            refuse_unless(at < len(data) and data[at] <= 2, f"`{path}` is not in its form at entry {index}")
            count, last, at = data[at], 0, at + 1
            for _ in range(count):
                length = int.from_bytes(data[at:at + 4], "big")
                opening = data[at + 4:at + 4 + length]
                refuse_unless(at + 4 + length <= len(data), f"`{path}` is cut off at entry {index}")
                try:
                    side, event = open_entry(self.entries[index], opening)
                except Refused as refused:
                    raise Refused(f"entry {index}: {refused}") from None
                refuse_unless(side > last, f"entry {index}: its openings are out of order")
                last, at = side, at + 4 + length
                seen(index, side, event)
            opened += count > 0
        refuse_unless(at == len(data), f"`{path}` goes on after the last opening")
        return opened

    def continues(self, size, root, what):
        refuse_unless(size <= self.size, f"{what} is over {size} entries, and the journal has {self.size}")
        refuse_unless(self.tree.root(size) == root, f"{what} is over other entries: the journal was rewritten")

    def holds(self, receipt, what):
        self.continues(receipt.size, receipt.root, f"{what}: its checkpoint")
        refuse_unless(self.entries[receipt.index] == receipt.entry, f"{what}: its entry is not in the journal")


# --- the page's example ----------------------------------------------------------------------------------------------


def check_page(page):
    """Derives the example's values from the one before, as a reader of the page would."""
    blocks = dict(re.findall(r"^```text example-([a-z-]+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    octets = lambda name: bytes.fromhex("".join(line.partition("  ")[0] for line in blocks[name].splitlines()))
    words = lambda name: [base64.b64decode(line) for line in blocks[name].splitlines()]
    key = VerifierKey(blocks["key"].strip())
    seed = Ed25519PrivateKey.from_private_bytes(octets("seed"))
    refuse_unless(seed.public_key() == key.public_key, "the page's key is not its seed's")
    receipt = Receipt(blocks["receipt"].encode(), key)
    bundle = octets("bundle")
    entries = [check_entry(bundle[at + 2:at + 67]) for at in (0, 67, 134)]
    for side, event in ((1, octets("partner-event")), (2, octets("holder-event"))):
        payload = (len(event).to_bytes(4, "big") + event).ljust(512, b"\0")
        opening = bytes([side]) + octets("salts")[16 * side - 16:16 * side] + payload
        commitment = octets("commitments")[32 * side - 32:32 * side]
        refuse_unless(entries[1][32 * side - 31:32 * side + 1] == commitment, "the page's commitments are not its entry's")
        read = open_entry(entries[1], opening)[1]
        refuse_unless(side == 2 or receipt.opened == (1, read), "the page's receipt opens something else")
    kind, at, actor, _, facts = read
    said = (kind, f"{shown_time(at)}", actor, facts["case"])
    refuse_unless(said == ("query.answered", "2026-03-02T09:30:00.000Z", "au-border", "C-2026-17"), f"it says {said}")
    tree = Tree([leaf_hash(entry) for entry in entries])
    refuse_unless(tree.levels[0] == words("tile"), "the page's tile does not follow")
    refuse_unless([tree.root(2), tree.root(3)] == words("nodes"), "the page's nodes do not follow")
    checkpoint = open_checkpoint(blocks["checkpoint"].encode(), key)
    refuse_unless(checkpoint == (3, tree.root(3)), "the page's checkpoint is over something else")
    refuse_unless((receipt.size, receipt.root, receipt.entry) == (*checkpoint, entries[1]), "the receipt is another's")
    text = blocks["checkpoint"].split("\n\n")[0] + "\n"
    again = base64.b64encode(key.id + seed.sign(text.encode())).decode()
    refuse_unless(blocks["checkpoint"] == f"{text}\n— {key.origin} {again}\n", "the page's signature is another")
    return len(blocks)


# --- by hand ---------------------------------------------------------------------------------------------------------


def shown_time(at):
    return (datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=at)).isoformat(timespec="milliseconds") + "Z"


def shown(event):
    kind, at, actor, policy, facts = event
    values = {name: value if isinstance(value, str) else value.hex() for name, value in facts.items()}
    lines = {"policy": policy.hex(), **values}.items()
    return f"{kind} at {shown_time(at)} by {actor}" + "".join(f"\n  {name}  {value!r}" for name, value in lines)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    journal, receipt = commands.add_parser("journal"), commands.add_parser("receipt")
    journal.add_argument("folder", type=pathlib.Path)
    journal.add_argument("--since", type=pathlib.Path)
    journal.add_argument("--receipts", type=pathlib.Path, nargs="*", default=[])
    receipt.add_argument("file", type=pathlib.Path)
    for command in (journal, receipt):
        command.add_argument("--key", required=True)
        command.add_argument("--show", action="store_true")
    commands.add_parser("page").add_argument("file", type=pathlib.Path)
    return parser.parse_args()


def key_of(text):
    return VerifierKey(text if "+" in text and not os.path.exists(text) else pathlib.Path(text).read_text().strip())


def run(args):
    page = (args.file if args.command == "page" else PAGE).read_text()
    kinds, facts = tables(page)
    KINDS.update(kinds)
    FACTS.update(facts)
    if args.command == "page":
        return f"the page's example holds: {check_page(page)} values"
    key = key_of(args.key)
    if args.command == "receipt":
        receipt = Receipt(args.file.read_bytes(), key)
        told = f"\n{shown(receipt.opened[1])}" if args.show and receipt.opened else ""
        return f"the receipt holds: entry {receipt.index} of {receipt.size} in `{key.origin}`{told}"
    show = lambda index, side, event: print(f"entry {index}, side {side}: {shown(event)}")
    export = Export(args.folder, key, *([show] if args.show else []))
    if args.since:
        export.continues(*open_checkpoint(args.since.read_bytes(), key, f"`{args.since}`"), f"`{args.since}`")
    for file in args.receipts:
        export.holds(Receipt(file.read_bytes(), key), f"`{file}`")
    root = base64.b64encode(export.signed).decode()
    return (f"the journal is whole: {export.size} entries, root {root}\n"
            f"it is `{key.origin}`; {export.opened} of its entries were opened; {len(args.receipts)} receipts stand in it")


def main():
    args = arguments()
    try:
        print(run(args))
        return 0
    except Refused as refused:
        print(f"REFUSED: {refused}")
        return 1
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
