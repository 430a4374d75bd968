-- Wrapped keys, apart from what they open: this file is backed up only as its present state, so that what was
-- erased stays erased when older data is restored beside it.

CREATE TABLE subject_keys (
    subject BLOB PRIMARY KEY CHECK (length(subject) = 16),
    wrapped BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE payload_keys (
    class   INTEGER NOT NULL,
    day     INTEGER NOT NULL,
    wrapped BLOB    NOT NULL,
    PRIMARY KEY (class, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE named_keys (
    name    TEXT PRIMARY KEY,
    wrapped BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- One key for each file of search snapshots: without it the file, and every copy of it, opens no more.
CREATE TABLE snapshot_keys (
    id      BLOB PRIMARY KEY CHECK (length(id) = 16),
    wrapped BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- One key for each backup of the database.
CREATE TABLE backup_keys (
    id      BLOB PRIMARY KEY CHECK (length(id) = 16),
    wrapped BLOB NOT NULL
) STRICT, WITHOUT ROWID;
