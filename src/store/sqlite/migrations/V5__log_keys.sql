-- The public halves of the log's signing keys, in the order in which they signed. Empty as long as there is only
-- the first one, whose seed stands in keys.sqlite.
CREATE TABLE log_keys (
    number     INTEGER PRIMARY KEY,
    public_key BLOB    NOT NULL UNIQUE CHECK (length(public_key) = 32)
) STRICT;

-- For each journal the entry that made a key its own; both keys signed the checkpoint over that entry. A journal that
-- was opened later began with the key of that time and has no row for it.
CREATE TABLE log_key_changes (
    journal INTEGER NOT NULL REFERENCES journals (id),
    number  INTEGER NOT NULL REFERENCES log_keys (number),
    idx     INTEGER NOT NULL,
    PRIMARY KEY (journal, number),
    FOREIGN KEY (journal, idx) REFERENCES entries (journal, idx)
) STRICT, WITHOUT ROWID;
