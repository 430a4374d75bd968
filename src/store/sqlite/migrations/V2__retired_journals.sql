-- A journal that goes on under a new origin leaves its old tree behind: it keeps its entries and is never signed
-- again. What points to an entry therefore names the tree, too.
ALTER TABLE journals ADD COLUMN retired INTEGER NOT NULL DEFAULT 0 CHECK (retired IN (0, 1));

ALTER TABLE queries ADD COLUMN journal INTEGER REFERENCES journals (id);
UPDATE queries SET journal = (SELECT journal FROM partners WHERE partners.name = queries.partner);

ALTER TABLE disclosures ADD COLUMN journal INTEGER REFERENCES journals (id);
UPDATE disclosures SET journal = (SELECT journal FROM partners WHERE partners.name = disclosures.partner);

ALTER TABLE releases ADD COLUMN journal INTEGER REFERENCES journals (id);
UPDATE releases SET journal = (SELECT journal FROM disclosures WHERE disclosures.id = releases.disclosure);
