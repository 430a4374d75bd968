-- What is readable here without a key: names of people, partners, agreements and purposes, times, counts and
-- states. Everything about a person in the gallery, a case, an official or an outcome is sealed, or stands as
-- a keyed tag that only equality can be asked of.

-- The holder itself: its host, the check value of its root key, the digest of its active rules.
CREATE TABLE holder (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The log ------------------------------------------------------------------------------------------------

-- A journal that goes on under a new origin leaves its old tree behind: that one keeps its entries and is never
-- signed again. What points to an entry therefore names the tree, too.
CREATE TABLE journals (
    id      INTEGER PRIMARY KEY,
    name    TEXT    NOT NULL UNIQUE,
    origin  TEXT    NOT NULL UNIQUE,
    retired INTEGER NOT NULL DEFAULT 0 CHECK (retired IN (0, 1))
) STRICT;

-- Entries are blind (65 bytes: version and two commitments); what opens them lies sealed beside them, under
-- the payload key of a class and a day. Rows lie in the order in which they were written, whatever their journal, so
-- that writing one only ever adds to the end; wide rows in a table WITHOUT ROWID would take a page each.
-- `tags`: keyed tags of 16 bytes, one behind the other, of what the entry is about; the last is of its kind.
-- `id` counts them all, whatever their journal, from 1 on without a gap.
CREATE TABLE entries (
    id              INTEGER PRIMARY KEY,
    journal         INTEGER NOT NULL REFERENCES journals (id),
    idx             INTEGER NOT NULL,
    entry           BLOB    NOT NULL CHECK (length(entry) = 65),
    at_ms           INTEGER NOT NULL,
    class           INTEGER NOT NULL,
    tags            BLOB    CHECK (length(tags) % 16 = 0),
    partner_opening BLOB,
    holder_opening  BLOB,
    UNIQUE (journal, idx)
) STRICT;

-- Entries of a class from the oldest on, as far as they can still be opened.
CREATE INDEX entries_kept ON entries (class, at_ms) WHERE holder_opening IS NOT NULL;

-- Which entries have a tag. Tags are random: in one tree those of each entry would lie on pages of their own. So entries are
-- indexed when there are many: a run is 16,384 of them by `id`, and of each run the first bytes of every tag stand in order,
-- each with the place of its entry in the run, in blocks. What is newer than the last run is looked through.
CREATE TABLE tag_runs (
    run      INTEGER PRIMARY KEY,
    first_ms INTEGER NOT NULL,
    last_ms  INTEGER NOT NULL
) STRICT;

CREATE TABLE tag_blocks (
    run   INTEGER NOT NULL REFERENCES tag_runs (run),
    first INTEGER NOT NULL,
    part  INTEGER NOT NULL,
    pairs BLOB    NOT NULL CHECK (length(pairs) > 0 AND length(pairs) % 6 = 0),
    PRIMARY KEY (run, first, part)
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

-- What witnesses cosigned, one line each as it stands in the note. A witness is its verifier key, so that a
-- witness with another name or key is another one.
CREATE TABLE cosignatures (
    journal INTEGER NOT NULL REFERENCES journals (id),
    size    INTEGER NOT NULL,
    witness TEXT    NOT NULL,
    line    TEXT    NOT NULL,
    PRIMARY KEY (journal, size, witness),
    FOREIGN KEY (journal, size) REFERENCES checkpoints (journal, size)
) STRICT, WITHOUT ROWID;

-- Where in the holder's journal the heads of partners' journals stand.
CREATE TABLE journal_heads (
    journal INTEGER NOT NULL REFERENCES journals (id),
    size    INTEGER NOT NULL,
    idx     INTEGER NOT NULL,
    PRIMARY KEY (journal, size)
) STRICT, WITHOUT ROWID;

-- Notes of the key store that are in the log: a note that is there again makes no second entry.
CREATE TABLE key_notes_entered (
    id BLOB PRIMARY KEY CHECK (length(id) = 16)
) STRICT, WITHOUT ROWID;

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

-- Disposals: what was disposed of, and whether its keys and bytes are gone. They are kept: a reader learns from
-- them that an opening which is not there was disposed of, and is not damaged.
CREATE TABLE disposals (
    change      BLOB    PRIMARY KEY CHECK (length(change) = 16),
    class       INTEGER NOT NULL,
    before_day  INTEGER NOT NULL,
    entries     INTEGER NOT NULL,
    disposed_ms INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('due', 'done'))
) STRICT, WITHOUT ROWID;
CREATE INDEX disposals_by_class ON disposals (class, before_day);

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
    spiffe_id  TEXT UNIQUE,
    public_key BLOB UNIQUE,
    partner    TEXT REFERENCES partners (name),
    standing   TEXT NOT NULL CHECK (standing IN ('active', 'suspended')),
    contact    BLOB,
    unit       TEXT NOT NULL DEFAULT '',
    CHECK ((role = 'partner-system') = (partner IS NOT NULL)),
    CHECK ((spiffe_id IS NULL) = (public_key IS NULL))
) STRICT, WITHOUT ROWID;

-- Invitations to register a passkey, by SHA-256 of the secret in the link: 256 random bits, which nobody guesses.
CREATE TABLE invitations (
    secret  BLOB    PRIMARY KEY CHECK (length(secret) = 32),
    person  TEXT    NOT NULL REFERENCES people (name),
    ends_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Passkeys of people. One that stood for its person is kept: decisions that it signed are verified by it.
CREATE TABLE passkeys (
    credential BLOB    PRIMARY KEY CHECK (length(credential) BETWEEN 16 AND 1023),
    person     TEXT    NOT NULL REFERENCES people (name),
    public_key BLOB    NOT NULL UNIQUE,
    sign_count INTEGER NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('registered', 'confirmed', 'ended')),
    -- What its owner calls it.
    title      TEXT    NOT NULL CHECK (length(title) BETWEEN 1 AND 40),
    made_ms    INTEGER NOT NULL,
    used_ms    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX passkeys_by_person ON passkeys (person);

-- Seats of officers that another officer fills between two moments, by the change that made each.
CREATE TABLE delegations (
    change    BLOB    PRIMARY KEY CHECK (length(change) = 16),
    delegator TEXT    NOT NULL REFERENCES people (name),
    delegate  TEXT    NOT NULL REFERENCES people (name),
    since_ms  INTEGER NOT NULL,
    until_ms  INTEGER NOT NULL,
    state     TEXT    NOT NULL CHECK (state IN ('standing', 'ended')),
    CHECK (delegator != delegate),
    CHECK (since_ms < until_ms)
) STRICT, WITHOUT ROWID;

-- Sessions at the console, by the keyed hash of the secret in the cookie.
CREATE TABLE sessions (
    id         BLOB    PRIMARY KEY CHECK (length(id) = 32),
    person     TEXT    NOT NULL REFERENCES people (name),
    credential BLOB    REFERENCES passkeys (credential),
    started_ms INTEGER NOT NULL,
    seen_ms    INTEGER NOT NULL,
    -- The digest of the account at the agency's provider by which it began; NULL with a passkey.
    account    BLOB    CHECK (length(account) = 32),
    CHECK ((credential IS NULL) != (account IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_person ON sessions (person);
CREATE INDEX sessions_by_passkey ON sessions (credential);

-- Accounts at the agency's OpenID provider that sign people in: one of each person at each provider.
CREATE TABLE provider_accounts (
    person  TEXT NOT NULL REFERENCES people (name),
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL CHECK (length(subject) BETWEEN 1 AND 255),
    PRIMARY KEY (person, issuer),
    UNIQUE (issuer, subject)
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

-- `generation`: of the transform that templates get. `renews`: the one that is being left; its templates move to the newer
-- one, and what is new goes there at once.
CREATE TABLE collections (
    name       TEXT PRIMARY KEY,
    scheme     TEXT    NOT NULL,
    dimension  INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    renews     INTEGER CHECK (renews < generation)
) STRICT, WITHOUT ROWID;

-- A set of restrictions is the unit that search keeps apart; 0 is the empty set.
CREATE TABLE restriction_sets (
    id    INTEGER PRIMARY KEY,
    names TEXT NOT NULL UNIQUE
) STRICT;
INSERT INTO restriction_sets (id, names) VALUES (0, '');

-- Subjects of one chunk have ids that begin alike, so that their rows lie together. No two have the same `source`; the
-- tables behind this one find them by it.
CREATE TABLE subjects (
    id              BLOB    PRIMARY KEY CHECK (length(id) = 16),
    source          BLOB    NOT NULL CHECK (length(source) = 32),
    restriction_set INTEGER NOT NULL REFERENCES restriction_sets (id),
    enrolled_by     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- Subjects by the first eight bytes of their sources. Sources are random: who is new waits, beside others that are new,
-- until many of one part of all sources are poured into the tree together and share its pages.
CREATE TABLE sources (
    head    INTEGER NOT NULL,
    subject BLOB    NOT NULL CHECK (length(subject) = 16),
    PRIMARY KEY (head, subject)
) STRICT, WITHOUT ROWID;

-- Those who wait. `entries`: a head of eight bytes and a subject of sixteen, one behind the other.
CREATE TABLE sources_waiting (
    part    INTEGER NOT NULL,
    run     INTEGER NOT NULL,
    entries BLOB    NOT NULL CHECK (length(entries) % 24 = 0),
    PRIMARY KEY (part, run)
) STRICT, WITHOUT ROWID;

-- One row: the number of the newest run, how many wait, and the part that is poured next.
CREATE TABLE sources_tally (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    runs      INTEGER NOT NULL,
    waiting   INTEGER NOT NULL,
    next_part INTEGER NOT NULL
) STRICT;
INSERT INTO sources_tally (id, runs, waiting, next_part) VALUES (1, 0, 0, 0);

-- Who is restricted, in the order of subjects: a start puts their templates into their compartments by it.
CREATE INDEX subjects_restricted ON subjects (id, restriction_set) WHERE restriction_set != 0;

-- Subjects that two people found to be one person: what restricts one restricts all. `person`: of all who are one, the change
-- that brought them together last. `own_set`: what restricts this one when it is parted from the others. `joined_ms`: when it
-- was made one with another first.
CREATE TABLE one_person (
    subject   BLOB    PRIMARY KEY CHECK (length(subject) = 16) REFERENCES subjects (id) ON DELETE CASCADE,
    person    BLOB    NOT NULL CHECK (length(person) = 16),
    own_set   INTEGER NOT NULL REFERENCES restriction_sets (id),
    joined_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX one_person_by_person ON one_person (person);

-- `enrolled_ms`, `enrolled_by`: of the chunk that brought it; a renewal of the collection changes neither.
CREATE TABLE templates (
    slot        INTEGER PRIMARY KEY AUTOINCREMENT,
    subject     BLOB NOT NULL REFERENCES subjects (id) ON DELETE CASCADE,
    collection  TEXT NOT NULL REFERENCES collections (name),
    generation  INTEGER NOT NULL,
    enrolled_ms INTEGER NOT NULL,
    enrolled_by TEXT NOT NULL,
    template    BLOB NOT NULL
) STRICT;
CREATE INDEX templates_by_subject ON templates (subject, collection, generation);
-- A start lists the slots of a collection, and reads no row of those that a snapshot holds.
CREATE INDEX templates_by_collection ON templates (collection, generation);

CREATE TABLE records (
    subject BLOB NOT NULL REFERENCES subjects (id) ON DELETE CASCADE,
    field   TEXT NOT NULL,
    value   BLOB NOT NULL,
    PRIMARY KEY (subject, field)
) STRICT, WITHOUT ROWID;

-- Statements of correction: what somebody says of a field of their record, sealed under their key and read with the field.
CREATE TABLE statements (
    id      BLOB PRIMARY KEY CHECK (length(id) = 16),
    subject BLOB NOT NULL REFERENCES subjects (id) ON DELETE CASCADE,
    field   TEXT NOT NULL,
    body    BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX statements_by_field ON statements (subject, field);

-- Requests of people for access or correction. Who asks, and all that was decided, is in the body; it follows from the
-- entries. `late`: whether it is noted that it was not decided in time.
CREATE TABLE subject_requests (
    id        BLOB    PRIMARY KEY CHECK (length(id) = 16),
    sequence  INTEGER NOT NULL UNIQUE,
    state     TEXT    NOT NULL CHECK (state IN ('open', 'closed')),
    opened_ms INTEGER NOT NULL,
    due_ms    INTEGER NOT NULL,
    late      INTEGER NOT NULL CHECK (late IN (0, 1)),
    body      BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX subject_requests_open ON subject_requests (due_ms, sequence) WHERE state = 'open';

-- Cases about breaches of privacy. What happened, and all that was found and done, is in the body; it follows from the entries.
-- `running`: whether the Commissioner is still to be told; `late`: whether it is noted that this was not done in time.
CREATE TABLE breaches (
    id        BLOB    PRIMARY KEY CHECK (length(id) = 16),
    sequence  INTEGER NOT NULL UNIQUE,
    state     TEXT    NOT NULL CHECK (state IN ('open', 'closed')),
    running   INTEGER NOT NULL CHECK (running IN (0, 1)),
    opened_ms INTEGER NOT NULL,
    due_ms    INTEGER NOT NULL,
    late      INTEGER NOT NULL CHECK (late IN (0, 1)),
    body      BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX breaches_open ON breaches (due_ms, sequence) WHERE state = 'open';

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

-- Like entries, rows lie in the order in which they were written.
CREATE TABLE queries (
    id              BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    partner         TEXT    NOT NULL REFERENCES partners (name),
    request_tag     BLOB    NOT NULL,
    content         BLOB    NOT NULL,
    agreement       TEXT    NOT NULL,
    collection      TEXT    NOT NULL,
    received_ms     INTEGER NOT NULL,
    outcome         BLOB    NOT NULL,
    journal         INTEGER NOT NULL REFERENCES journals (id),
    idx             INTEGER NOT NULL,
    UNIQUE (partner, request_tag),
    UNIQUE (journal, idx)
) STRICT;

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
    -- Keyed tags of what is sealed in the body, to find cases by.
    purpose_tag     BLOB    NOT NULL,
    basis_tag       BLOB    NOT NULL,
    subject_tag     BLOB    NOT NULL,
    official_tag    BLOB    NOT NULL,
    body            BLOB    NOT NULL,
    created_ms      INTEGER NOT NULL,
    ends_ms         INTEGER NOT NULL,
    journal         INTEGER NOT NULL REFERENCES journals (id),
    idx             INTEGER NOT NULL,
    -- 0 for the urgent path, which comes first, and 1 for the ordinary one.
    turn            INTEGER NOT NULL CHECK (turn IN (0, 1)),
    -- When the review is due that an urgent release owes, until it is closed.
    review_ms       INTEGER,
    review_late     INTEGER NOT NULL DEFAULT 0 CHECK (review_late IN (0, 1)),
    UNIQUE (partner, request_tag)
) STRICT, WITHOUT ROWID;
-- Officers walk along one of these, whatever they filter by, so that what is rare is found without reading what is not.
CREATE INDEX disclosures_by_state ON disclosures (state, turn, ends_ms, sequence, created_ms);
CREATE INDEX disclosures_by_partner ON disclosures (partner, state, turn, ends_ms, sequence, created_ms);
CREATE INDEX disclosures_by_purpose ON disclosures (purpose_tag, state, turn, ends_ms, sequence, created_ms);
CREATE INDEX disclosures_by_basis ON disclosures (basis_tag, state, turn, ends_ms, sequence, created_ms);
CREATE INDEX disclosures_by_partner_purpose
    ON disclosures (partner, purpose_tag, state, turn, ends_ms, sequence, created_ms);
CREATE INDEX disclosures_by_partner_basis
    ON disclosures (partner, basis_tag, state, turn, ends_ms, sequence, created_ms);
-- Partners see theirs, newest first; officers what else was asked about a person, or by an official.
CREATE INDEX disclosures_by_asker ON disclosures (partner, sequence);
CREATE INDEX disclosures_by_subject ON disclosures (subject_tag, sequence);
CREATE INDEX disclosures_by_official ON disclosures (official_tag, sequence);
CREATE INDEX disclosures_by_review ON disclosures (review_ms) WHERE review_ms IS NOT NULL;

-- What happened to a disclosure, step by step: its state can be rebuilt from these.
CREATE TABLE disclosure_steps (
    disclosure BLOB    NOT NULL REFERENCES disclosures (id),
    sequence   INTEGER NOT NULL,
    step       BLOB    NOT NULL,
    PRIMARY KEY (disclosure, sequence)
) STRICT, WITHOUT ROWID;

-- Whoever received a release, or may still fetch it. `untold`: whether the partner is not told of a correction yet;
-- `due_ms`: by when it is to acknowledge the first that it was told of; `alert_ms`: the same, of those that are not
-- noted as late. All of it follows from the steps.
CREATE TABLE recipients (
    disclosure BLOB    PRIMARY KEY REFERENCES disclosures (id),
    fetched    INTEGER NOT NULL CHECK (fetched IN (0, 1)),
    untold     INTEGER NOT NULL CHECK (untold IN (0, 1)),
    due_ms     INTEGER,
    alert_ms   INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX recipients_untold ON recipients (disclosure) WHERE untold = 1;
CREATE INDEX recipients_due ON recipients (due_ms, disclosure) WHERE due_ms IS NOT NULL;
CREATE INDEX recipients_alert ON recipients (alert_ms) WHERE alert_ms IS NOT NULL;

-- The fields of whom a release was granted, by a keyed tag of both: a correction finds its recipients by it. `held`: whether
-- the record had the field then.
CREATE TABLE released_fields (
    tag        BLOB NOT NULL CHECK (length(tag) = 16),
    disclosure BLOB NOT NULL REFERENCES recipients (disclosure) ON DELETE CASCADE,
    held       INTEGER NOT NULL CHECK (held IN (0, 1)),
    PRIMARY KEY (tag, disclosure)
) STRICT, WITHOUT ROWID;
CREATE INDEX released_fields_by_disclosure ON released_fields (disclosure);

CREATE TABLE releases (
    disclosure      BLOB    PRIMARY KEY REFERENCES disclosures (id),
    ciphertext      BLOB    NOT NULL,
    info            BLOB    NOT NULL,
    journal         INTEGER NOT NULL REFERENCES journals (id),
    idx             INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Notices ------------------------------------------------------------------------------------------------

-- What is to be told of a disclosure: a row in the transaction that changed it. `id` is random and goes to receivers. A
-- notice goes with the last of its deliveries.
CREATE TABLE notices (
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    id         BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    kind       TEXT    NOT NULL,
    disclosure BLOB    NOT NULL CHECK (length(disclosure) = 16),
    at_ms      INTEGER NOT NULL,
    addressed  INTEGER NOT NULL DEFAULT 0 CHECK (addressed IN (0, 1))
) STRICT;
CREATE INDEX notices_unaddressed ON notices (sequence) WHERE addressed = 0;

-- To whom a notice goes, by the receiver's name in configuration or agreement; never an address.
CREATE TABLE notice_deliveries (
    receiver    TEXT    NOT NULL,
    notice      INTEGER NOT NULL REFERENCES notices (sequence),
    begun_ms    INTEGER NOT NULL,
    tries       INTEGER NOT NULL,
    next_ms     INTEGER NOT NULL,
    given_up_ms INTEGER,
    reason      TEXT,
    PRIMARY KEY (receiver, notice)
) STRICT, WITHOUT ROWID;
CREATE INDEX notice_deliveries_by_notice ON notice_deliveries (notice);
CREATE INDEX notice_deliveries_waiting ON notice_deliveries (receiver, next_ms) WHERE given_up_ms IS NULL;

-- When officers are told that an open disclosure comes to its end.
CREATE TABLE notice_reminders (
    disclosure BLOB    PRIMARY KEY CHECK (length(disclosure) = 16),
    at_ms      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX notice_reminders_by_time ON notice_reminders (at_ms);
