-- Wrapped keys, apart from what they open: this file is backed up only as its present state, so that what was
-- erased stays erased when older data is restored beside it.

-- The roots that open this store: one, or two while the root is changed.
CREATE TABLE roots (
    id       BLOB    PRIMARY KEY CHECK (length(id) = 8),
    since_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The keys of the ring, each wrapped under each root.
CREATE TABLE ring_keys (
    root       BLOB    NOT NULL REFERENCES roots (id),
    class      TEXT    NOT NULL,
    generation INTEGER NOT NULL CHECK (generation > 0),
    since_ms   INTEGER NOT NULL,
    wrapped    BLOB    NOT NULL,
    PRIMARY KEY (root, class, generation)
) STRICT, WITHOUT ROWID;

-- What was done to roots and ring and is not in the log yet, sealed. A row is written with what it tells of, and goes
-- when its entry is durable.
CREATE TABLE key_notes (
    id   BLOB PRIMARY KEY CHECK (length(id) = 16),
    note BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Wrapped values begin with the generation of the key that they lie under, four bytes.
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
    name     TEXT    PRIMARY KEY,
    since_ms INTEGER NOT NULL,
    wrapped  BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

-- One secret for each collection and generation: of its transform, and a part of what seals its templates. An older one
-- than is in use is destroyed, and with it all that lies in old copies.
CREATE TABLE collection_keys (
    collection TEXT    NOT NULL,
    generation INTEGER NOT NULL CHECK (generation > 0),
    since_ms   INTEGER NOT NULL,
    wrapped    BLOB    NOT NULL,
    PRIMARY KEY (collection, generation)
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
