-- What is readable here without a key: names of people, partners, agreements and purposes, times, counts and
-- states. Everything about a person in the gallery, a case, an official or an outcome is sealed, or stands as
-- a keyed tag that only equality can be asked of.

-- The holder itself: its host, the check value of its root key, the digest of its active rules.
CREATE TABLE holder (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The log ------------------------------------------------------------------------------------------------

CREATE TABLE journals (
    id     INTEGER PRIMARY KEY,
    name   TEXT    NOT NULL UNIQUE,
    origin TEXT    NOT NULL UNIQUE
) STRICT;

-- Entries are blind (65 bytes: version and two commitments); what opens them lies sealed beside them, under
-- the payload key of a class and a day.
CREATE TABLE entries (
    journal         INTEGER NOT NULL REFERENCES journals (id),
    idx             INTEGER NOT NULL,
    entry           BLOB    NOT NULL CHECK (length(entry) = 65),
    at_ms           INTEGER NOT NULL,
    class           INTEGER NOT NULL,
    partner_opening BLOB,
    holder_opening  BLOB,
    PRIMARY KEY (journal, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE entry_tags (
    tag     BLOB    NOT NULL,
    journal INTEGER NOT NULL,
    idx     INTEGER NOT NULL,
    PRIMARY KEY (tag, journal, idx),
    FOREIGN KEY (journal, idx) REFERENCES entries (journal, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE tiles (
    journal INTEGER NOT NULL REFERENCES journals (id),
    level   INTEGER NOT NULL,
    idx     INTEGER NOT NULL,
    hashes  BLOB    NOT NULL,
    PRIMARY KEY (journal, level, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoints (
    journal INTEGER NOT NULL REFERENCES journals (id),
    size    INTEGER NOT NULL,
    note    TEXT    NOT NULL,
    PRIMARY KEY (journal, size)
) STRICT, WITHOUT ROWID;

-- Who may act --------------------------------------------------------------------------------------------

CREATE TABLE partners (
    name         TEXT PRIMARY KEY,
    title        TEXT NOT NULL,
    trust_domain TEXT NOT NULL UNIQUE,
    authorities  BLOB NOT NULL,
    standing     TEXT NOT NULL CHECK (standing IN ('active', 'suspended')),
    contact      BLOB,
    release_key  BLOB CHECK (length(release_key) = 32),
    journal      INTEGER NOT NULL UNIQUE REFERENCES journals (id)
) STRICT, WITHOUT ROWID;

CREATE TABLE people (
    name       TEXT PRIMARY KEY,
    role       TEXT NOT NULL,
    spiffe_id  TEXT NOT NULL UNIQUE,
    public_key BLOB NOT NULL UNIQUE,
    partner    TEXT REFERENCES partners (name),
    standing   TEXT NOT NULL CHECK (standing IN ('active', 'suspended')),
    contact    BLOB,
    CHECK ((role = 'partner-system') = (partner IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE policies (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    bundle BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE changes (
    id                 BLOB PRIMARY KEY CHECK (length(id) = 16),
    sequence           INTEGER NOT NULL UNIQUE,
    kind               TEXT    NOT NULL,
    state              TEXT    NOT NULL CHECK (state IN ('proposed', 'confirmed', 'rejected')),
    body               BLOB    NOT NULL,
    digest             BLOB    NOT NULL CHECK (length(digest) = 32),
    proposer           TEXT    NOT NULL,
    proposer_signature BLOB,
    decider            TEXT,
    decider_signature  BLOB,
    created_ms         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE release_key_challenges (
    partner    TEXT    NOT NULL REFERENCES partners (name),
    public_key BLOB    NOT NULL CHECK (length(public_key) = 32),
    challenge  BLOB    NOT NULL,
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (partner, public_key)
) STRICT, WITHOUT ROWID;

-- The gallery --------------------------------------------------------------------------------------------

CREATE TABLE collections (
    name       TEXT PRIMARY KEY,
    scheme     TEXT    NOT NULL,
    dimension  INTEGER NOT NULL,
    generation INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A set of restrictions is the unit that search keeps apart; 0 is the empty set.
CREATE TABLE restriction_sets (
    id    INTEGER PRIMARY KEY,
    names TEXT NOT NULL UNIQUE
) STRICT;
INSERT INTO restriction_sets (id, names) VALUES (0, '');

CREATE TABLE subjects (
    id              BLOB    PRIMARY KEY CHECK (length(id) = 16),
    source          BLOB    NOT NULL UNIQUE CHECK (length(source) = 32),
    restriction_set INTEGER NOT NULL REFERENCES restriction_sets (id),
    enrolled_by     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE templates (
    slot       INTEGER PRIMARY KEY AUTOINCREMENT,
    subject    BLOB NOT NULL REFERENCES subjects (id) ON DELETE CASCADE,
    collection TEXT NOT NULL REFERENCES collections (name),
    template   BLOB NOT NULL
) STRICT;
CREATE INDEX templates_by_subject ON templates (subject, collection);
CREATE INDEX templates_by_collection ON templates (collection);

CREATE TABLE records (
    subject BLOB NOT NULL REFERENCES subjects (id) ON DELETE CASCADE,
    field   TEXT NOT NULL,
    value   BLOB NOT NULL,
    PRIMARY KEY (subject, field)
) STRICT, WITHOUT ROWID;

CREATE TABLE batches (
    id            BLOB    PRIMARY KEY CHECK (length(id) = 16),
    request_tag   BLOB    NOT NULL UNIQUE,
    owner         TEXT    NOT NULL,
    collection    TEXT    NOT NULL,
    official      BLOB    NOT NULL,
    rows_done     INTEGER NOT NULL,
    rows_accepted INTEGER NOT NULL,
    created_ms    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The answer to the newest chunk of a batch, so that a chunk sent again is answered again.
CREATE TABLE batch_chunks (
    batch     BLOB    NOT NULL REFERENCES batches (id) ON DELETE CASCADE,
    first_row INTEGER NOT NULL,
    rows      INTEGER NOT NULL,
    content   BLOB    NOT NULL,
    rejected  BLOB    NOT NULL,
    PRIMARY KEY (batch, first_row)
) STRICT, WITHOUT ROWID;

-- Subjects that are erased but whose data key may still exist: done again at every start until it is gone.
CREATE TABLE erasures_due (
    subject BLOB PRIMARY KEY CHECK (length(subject) = 16)
) STRICT, WITHOUT ROWID;

-- Queries and disclosures --------------------------------------------------------------------------------

CREATE TABLE queries (
    id              BLOB    PRIMARY KEY CHECK (length(id) = 16),
    partner         TEXT    NOT NULL REFERENCES partners (name),
    request_tag     BLOB    NOT NULL,
    content         BLOB    NOT NULL,
    agreement       TEXT    NOT NULL,
    collection      TEXT    NOT NULL,
    received_ms     INTEGER NOT NULL,
    outcome         BLOB    NOT NULL,
    idx             INTEGER NOT NULL,
    UNIQUE (partner, request_tag)
) STRICT, WITHOUT ROWID;

CREATE TABLE query_usage (
    partner   TEXT    NOT NULL REFERENCES partners (name),
    agreement TEXT    NOT NULL,
    day       INTEGER NOT NULL,
    queries   INTEGER NOT NULL,
    PRIMARY KEY (partner, agreement, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE disclosures (
    id              BLOB    PRIMARY KEY CHECK (length(id) = 16),
    sequence        INTEGER NOT NULL UNIQUE,
    partner         TEXT    NOT NULL REFERENCES partners (name),
    request_tag     BLOB    NOT NULL,
    content         BLOB    NOT NULL,
    state           TEXT    NOT NULL,
    body            BLOB    NOT NULL,
    created_ms      INTEGER NOT NULL,
    ends_ms         INTEGER NOT NULL,
    idx             INTEGER NOT NULL,
    UNIQUE (partner, request_tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX disclosures_by_state ON disclosures (state, ends_ms);

-- What happened to a disclosure, step by step: its state can be rebuilt from these.
CREATE TABLE disclosure_steps (
    disclosure BLOB    NOT NULL REFERENCES disclosures (id),
    sequence   INTEGER NOT NULL,
    step       BLOB    NOT NULL,
    PRIMARY KEY (disclosure, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE releases (
    disclosure      BLOB    PRIMARY KEY REFERENCES disclosures (id),
    ciphertext      BLOB    NOT NULL,
    info            BLOB    NOT NULL,
    idx             INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
