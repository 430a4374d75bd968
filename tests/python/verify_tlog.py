"""Verifies an export of Onebit's log with the package aics-tlog, a verifier of C2SP logs that knows nothing of Onebit.

    verify_tlog.py KEY DIR SEED [RECEIPT ...]

Notes, checkpoints, tiles, bundles and proofs are the package's; only the frame of a receipt is read here. What opens
entries is Onebit's own, so it is not looked at. Ends with 1 and a line that begins with `REFUSED:` when something does
not hold.
"""

import base64
import pathlib
import random
import sys

import aics_tlog

# Each takes a tenth of a second, because the package folds whole tiles for it.
PROOFS = 25


def checkpoint(note, key):
    found = aics_tlog.verify_checkpoint(aics_tlog.parse_note(note), key, expected_origin=key.name)
    if not found.log_ok:
        raise ValueError(found.error)
    return found.size, found.root


def verify(key, folder, receipts):
    key = aics_tlog.parse_vkey(key)
    size, root = checkpoint((pathlib.Path(folder) / "checkpoint").read_bytes(), key)
    files = aics_tlog.FileSystemTileReader(folder)
    report = aics_tlog.audit_tiles(files, size, root)
    proven = aics_tlog.VerifiedTileReader(files, size, root)
    for _ in range(PROOFS):
        index, older = random.randrange(size), 1 + random.randrange(size)
        proof = aics_tlog.inclusion_proof_from_tiles(proven, index, size)
        if not aics_tlog.verify_leaf_inclusion(proven.entry(index), index, size, proof, root):
            raise ValueError(f"entry {index} is not proven")
        older_root = aics_tlog.tree_root_from_tiles(proven, older, size)
        proof = aics_tlog.consistency_proof_from_tiles(proven, older, size)
        if not aics_tlog.verify_consistency(older, size, older_root, root, proof):
            raise ValueError(f"growth from {older} entries is not proven")
    for file in receipts:
        head, note = pathlib.Path(file).read_text().split("\n\n", 1)
        header, extra, index, *proof = head.split("\n")
        entry = base64.b64decode(extra.removeprefix("extra "), validate=True)[:65]
        index, proof = int(index.removeprefix("index ")), [base64.b64decode(line, validate=True) for line in proof]
        at, at_root = checkpoint(note, key)
        if header != "c2sp.org/tlog-proof@v1" or not aics_tlog.verify_leaf_inclusion(entry, index, at, proof, at_root):
            raise ValueError(f"{file} proves nothing")
        if aics_tlog.tree_root_from_tiles(proven, at, size) != at_root or proven.entry(index) != entry:
            raise ValueError(f"{file} is of another journal than the export")
    root = base64.b64encode(root).decode()
    return (f"the journal is whole: {size} entries, root {root}; {report.tiles} tiles and {report.bundles} bundles, "
            f"{PROOFS} proofs of each kind and {len(receipts)} receipts hold")


if __name__ == "__main__":
    key, folder, seed, *receipts = sys.argv[1:]
    random.seed(int(seed))
    try:
        print(verify(key, folder, receipts))
    except (ValueError, OSError) as error:
        print(f"REFUSED: {type(error).__name__}: {error}")
        sys.exit(1)
