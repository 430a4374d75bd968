//! Blind entries: what stands in the tree commits to both sides' events and shows neither.
//!
//! An entry is 65 bytes whatever happened: a version, the partner's commitment and the holder's. A commitment
//! is SHA-256 over a domain, a zero byte, 128 random bits of salt and the padded event, so that it hides the
//! event as long as the salt is kept, and binds to it for ever. Both events of an entry are padded to the
//! same length, so that one side's size says nothing about the other's.
//!
//! Not protected: the length of an opening still tells its bucket, 512 bytes and its doublings.

use ring::digest::{Context, SHA256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::event::{Event, EventError, Kind};
use super::tree::{Hash, leaf_hash};
use crate::secret::{Entropy, EntropyError};

/// An entry or an opening that can't be made, read or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// No randomness for the salts.
    #[error("no salt could be drawn for an entry")]
    Entropy(#[from] EntropyError),
    /// The event inside.
    #[error("the event of an entry can't be written or read")]
    Event(#[from] EventError),
    /// An event that no bucket holds.
    #[error(
        "the event of an entry has {0} bytes; shorten what it states to {PAYLOAD_MAX_BYTES} with its length"
    )]
    TooLong(usize),
    /// Not the 65 bytes of an entry.
    #[error("an entry has {ENTRY_BYTES} bytes and not {0}; check that the right file or field was given")]
    Length(usize),
    /// A version that this one does not know.
    #[error("version {0} of an entry is not known here; use the version that wrote the log, or a newer one")]
    Version(u8),
    /// Bytes that are no opening.
    #[error("these bytes open no entry; check that the right file or field was given")]
    Opening,
    /// The padding of an opening hides something, or its length is none.
    #[error("an opening is not padded as the format says; ask whoever made it for the original")]
    Padding,
    /// The opening is of another entry, or one of them was changed.
    #[error("the opening does not belong to this entry, or one of them was changed; ask for both again")]
    Commitment,
}

/// A side of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// What the partner may know.
    Partner,
    /// What the holder knows.
    Holder,
}

impl Side {
    const fn number(self) -> u8 {
        match self {
            Self::Partner => 1,
            Self::Holder => 2,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Partner),
            2 => Some(Self::Holder),
            _ => None,
        }
    }

    const fn domain(self) -> &'static str {
        match self {
            Self::Partner => "onebit/commitment/v1/partner",
            Self::Holder => "onebit/commitment/v1/holder",
        }
    }
}

/// The 128 random bits that hide a commitment's event.
pub type Salt = [u8; SALT_BYTES];

/// What opens one side of an entry: the salt and the padded event. Wiped when dropped.
///
/// Whoever has it knows the event, and can show others that the entry says so.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Opening {
    #[zeroize(skip)]
    side: Side,
    salt: Salt,
    payload: Vec<u8>,
}

impl Opening {
    /// The side that it opens.
    #[must_use]
    pub const fn side(&self) -> Side {
        self.side
    }

    /// The event inside. Only [`Entry::opens`] says that an entry commits to it.
    ///
    /// # Errors
    /// [`EntryError`] when the payload is not a padded event.
    pub fn event(&self) -> Result<Event, EntryError> {
        Ok(Event::decode(unpadded(&self.payload)?)?)
    }

    /// The bytes: side (1 partner, 2 holder), 16 bytes of salt, the padded event.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [[self.side.number()].as_slice(), &self.salt, &self.payload].concat()
    }

    /// Reads the bytes of an opening. The event inside is read by [`Opening::event`].
    ///
    /// # Errors
    /// [`EntryError::Opening`] or [`EntryError::Padding`] when they have another form.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let (side, rest) = bytes.split_first().ok_or(EntryError::Opening)?;
        let side = Side::from_number(*side).ok_or(EntryError::Opening)?;
        let (salt, payload) = rest.split_first_chunk::<SALT_BYTES>().ok_or(EntryError::Opening)?;
        unpadded(payload)?;
        Ok(Self { side, salt: *salt, payload: payload.to_vec() })
    }

    fn new(side: Side, event: &[u8], bucket: usize, entropy: &dyn Entropy) -> Result<Self, EntryError> {
        let mut opening = Self { side, salt: [0; SALT_BYTES], payload: padded(event, bucket)? };
        entropy.fill(&mut opening.salt)?;
        Ok(opening)
    }

    fn commitment(&self) -> [u8; COMMITMENT_BYTES] {
        let mut context = Context::new(&SHA256);
        for part in [self.side.domain().as_bytes(), &[DOMAIN_END], &self.salt, &self.payload] {
            context.update(part);
        }
        let mut commitment = [0; COMMITMENT_BYTES];
        for (to, from) in commitment.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        commitment
    }
}

/// What stands in the tree: two commitments that say nothing without their openings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry {
    partner: [u8; COMMITMENT_BYTES],
    holder: [u8; COMMITMENT_BYTES],
}

impl Entry {
    /// The 65 bytes: version, the partner's commitment, the holder's.
    #[must_use]
    pub fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [VERSION; ENTRY_BYTES];
        let from = self.partner.iter().chain(&self.holder);
        for (to, from) in bytes.iter_mut().skip(1).zip(from) {
            *to = *from;
        }
        bytes
    }

    /// Reads the bytes of an entry.
    ///
    /// # Errors
    /// [`EntryError::Length`] or [`EntryError::Version`] when they have another form.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let length = || EntryError::Length(bytes.len());
        let bytes: &[u8; ENTRY_BYTES] = bytes.try_into().map_err(|_| length())?;
        let (version, commitments) = bytes.split_first().ok_or_else(length)?;
        if *version != VERSION {
            return Err(EntryError::Version(*version));
        }
        let (partner, rest) = commitments.split_first_chunk().ok_or_else(length)?;
        let (holder, _) = rest.split_first_chunk().ok_or_else(length)?;
        Ok(Self { partner: *partner, holder: *holder })
    }

    /// The hash of the entry as a leaf of the tree (RFC 6962, section 2.1).
    #[must_use]
    pub fn leaf_hash(&self) -> Hash {
        leaf_hash(&self.encode())
    }

    /// Opens a side: the event, if the entry commits to it.
    ///
    /// # Errors
    /// [`EntryError::Commitment`] when the opening is of another entry or was changed, and whatever keeps
    /// the event from being read.
    pub fn opens(&self, opening: &Opening) -> Result<Event, EntryError> {
        let committed = match opening.side {
            Side::Partner => &self.partner,
            Side::Holder => &self.holder,
        };
        if opening.commitment() != *committed {
            return Err(EntryError::Commitment);
        }
        opening.event()
    }
}

/// A new entry with what opens its two sides.
#[derive(Clone)]
pub struct Draft {
    /// What will stand in the tree.
    pub entry: Entry,
    /// What opens the partner's side.
    pub partner: Opening,
    /// What opens the holder's side.
    pub holder: Opening,
}

impl Draft {
    /// Blinds what the two sides may know of one happening, with a new salt each.
    ///
    /// # Errors
    /// [`EntryError`] when an event can't be written or is too long, or there is no randomness.
    pub fn blind(partner: &Event, holder: &Event, entropy: &dyn Entropy) -> Result<Self, EntryError> {
        let (partner, holder) = (partner.encode()?, holder.encode()?);
        let bucket = bucket(partner.len().max(holder.len()))?;
        let partner = Opening::new(Side::Partner, &partner, bucket, entropy)?;
        let holder = Opening::new(Side::Holder, &holder, bucket, entropy)?;
        let entry = Entry { partner: partner.commitment(), holder: holder.commitment() };
        Ok(Self { entry, partner, holder })
    }

    /// Blinds something of the holder's own: the partner's side states that there was something, when, and
    /// under which rules, and nothing else.
    ///
    /// # Errors
    /// [`EntryError`] when the event can't be written or is too long, or there is no randomness.
    pub fn private(holder: &Event, entropy: &dyn Entropy) -> Result<Self, EntryError> {
        let partner = Event::new(Kind::PrivateEntry, holder.at, "", holder.policy);
        Self::blind(&partner, holder, entropy)
    }
}

/// The smallest bucket that holds an event of so many bytes and its length.
fn bucket(event_bytes: usize) -> Result<usize, EntryError> {
    event_bytes
        .checked_add(LENGTH_BYTES)
        .and_then(usize::checked_next_power_of_two)
        .map(|bucket| bucket.max(PAYLOAD_MIN_BYTES))
        .filter(|bucket| *bucket <= PAYLOAD_MAX_BYTES)
        .ok_or(EntryError::TooLong(event_bytes))
}

fn padded(event: &[u8], bucket: usize) -> Result<Vec<u8>, EntryError> {
    let length = u32::try_from(event.len()).map_err(|_| EntryError::TooLong(event.len()))?;
    let mut payload = Vec::with_capacity(bucket);
    payload.extend_from_slice(&length.to_be_bytes());
    payload.extend_from_slice(event);
    payload.resize(bucket, 0);
    Ok(payload)
}

/// The event in a padded payload: a bucket's length, a length that fits, and zeros to the end.
fn unpadded(payload: &[u8]) -> Result<&[u8], EntryError> {
    let is_bucket =
        (PAYLOAD_MIN_BYTES..=PAYLOAD_MAX_BYTES).contains(&payload.len()) && payload.len().is_power_of_two();
    let (length, rest) = payload.split_first_chunk::<LENGTH_BYTES>().ok_or(EntryError::Padding)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| EntryError::Padding)?;
    let (event, padding) = rest.split_at_checked(length).ok_or(EntryError::Padding)?;
    if is_bucket && padding.iter().all(|byte| *byte == 0) { Ok(event) } else { Err(EntryError::Padding) }
}

/// The bytes of an entry: version and two commitments.
pub const ENTRY_BYTES: usize = 1 + 2 * COMMITMENT_BYTES;
/// The bytes of a commitment: SHA-256.
pub const COMMITMENT_BYTES: usize = 32;
/// The bytes of a salt: 128 bits, so that nobody finds an event by trying salts.
pub const SALT_BYTES: usize = 16;
/// The smallest bucket: an ordinary query with short references fits into it.
pub const PAYLOAD_MIN_BYTES: usize = 512;
/// The largest bucket: seven facts of full length fit into it.
pub const PAYLOAD_MAX_BYTES: usize = 65_536;
const VERSION: u8 = 1;
const DOMAIN_END: u8 = 0;
const LENGTH_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::audit::event::Fact;
    use crate::clock::Timestamp;
    use crate::ids::Digest;

    /// Fills each request with the number of the request, from one.
    #[derive(Default)]
    struct Counting(AtomicU8);

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
            bytes.fill(self.0.fetch_add(1, Ordering::Relaxed) + 1);
            Ok(())
        }
    }

    struct Dry;

    impl Entropy for Dry {
        fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
            Err(EntropyError)
        }
    }

    fn event(case: &str) -> Event {
        Event::new(Kind::QueryAnswered, Timestamp::from_millis(1), "au-border", Digest::sha256(b"policy"))
            .text(Fact::Case, case)
    }

    fn draft() -> Draft {
        let holder = event("C-1").with(Fact::Subject, &[7; 16]);
        Draft::blind(&event("C-1"), &holder, &Counting::default()).unwrap()
    }

    #[test]
    fn a_commitment_is_what_the_format_says() {
        let draft = draft();
        let event = event("C-1").encode().unwrap();
        let mut bytes = b"onebit/commitment/v1/partner\0".to_vec();
        bytes.extend_from_slice(&[1; 16]);
        bytes.extend_from_slice(&u32::try_from(event.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(&event);
        bytes.resize(29 + 16 + 512, 0);
        let entry = draft.entry.encode();
        assert_eq!((entry.len(), entry[0]), (65, 1));
        assert_eq!(
            entry[1..33],
            *Digest::sha256(&bytes).as_bytes(),
            "the format is fixed: logs depend on it"
        );
        assert_eq!(draft.entry.leaf_hash(), leaf_hash(&entry));
    }

    #[test]
    fn each_side_opens_its_own_event() {
        let draft = draft();
        assert_eq!(draft.entry.opens(&draft.partner), Ok(event("C-1")));
        assert_eq!(draft.entry.opens(&draft.holder), Ok(event("C-1").with(Fact::Subject, &[7; 16])));
        assert_eq!((draft.partner.side(), draft.holder.side()), (Side::Partner, Side::Holder));
    }

    #[test]
    fn an_opening_of_another_entry_or_side_opens_nothing() {
        let (one, other) =
            (draft(), Draft::blind(&event("C-2"), &event("C-2"), &Counting::default()).unwrap());
        assert_eq!(one.entry.opens(&other.partner), Err(EntryError::Commitment));
        let mut turned = one.partner.clone();
        turned.side = Side::Holder;
        assert_eq!(one.entry.opens(&turned), Err(EntryError::Commitment));
        let same = Draft::blind(&event("C-1"), &event("C-1"), &Counting::default()).unwrap();
        assert_ne!(same.entry.partner, same.entry.holder, "the two sides must not be comparable");
    }

    #[test]
    fn both_sides_have_the_same_size() {
        let long = "x".repeat(600);
        for (partner, holder, bytes) in
            [("a", "a", 512), ("a", long.as_str(), 1024), (long.as_str(), "a", 1024)]
        {
            let draft = Draft::blind(&event(partner), &event(holder), &Counting::default()).unwrap();
            let sizes = [&draft.partner, &draft.holder].map(|opening| opening.encode().len() - 17);
            assert_eq!(sizes, [bytes; 2]);
        }
    }

    #[test]
    fn buckets_double() {
        for (event, wanted) in [(0, 512), (508, 512), (509, 1024), (1020, 1024), (65_532, 65_536)] {
            assert_eq!(bucket(event), Ok(wanted), "for {event} bytes");
        }
        for event in [65_533, usize::MAX] {
            assert_eq!(bucket(event), Err(EntryError::TooLong(event)));
        }
    }

    #[test]
    fn a_private_entry_tells_a_partner_nothing() {
        let draft = Draft::private(&event("secret"), &Counting::default()).unwrap();
        let partner = draft.entry.opens(&draft.partner).unwrap();
        assert_eq!(
            (partner.kind, partner.actor.as_str(), partner.facts().count()),
            (Kind::PrivateEntry, "", 0)
        );
        assert_eq!(draft.entry.opens(&draft.holder), Ok(event("secret")));
    }

    #[test]
    fn no_entry_is_made_without_randomness() {
        let refused = Draft::blind(&event("a"), &event("a"), &Dry).err();
        assert_eq!(refused, Some(EntryError::Entropy(EntropyError)));
    }

    #[test]
    fn other_bytes_are_no_entry_and_no_opening() {
        let draft = draft();
        assert_eq!(Entry::decode(&[1; 64]), Err(EntryError::Length(64)));
        assert_eq!(Entry::decode(&[1; 66]), Err(EntryError::Length(66)));
        assert_eq!(Entry::decode(&[2; 65]), Err(EntryError::Version(2)));
        let opening = draft.partner.encode();
        let changed = |at: usize, byte: u8| {
            let mut bytes = opening.clone();
            bytes[at] = byte;
            Opening::decode(&bytes).err()
        };
        assert_eq!(changed(0, 0), Some(EntryError::Opening));
        assert_eq!(changed(0, 3), Some(EntryError::Opening));
        assert_eq!(changed(opening.len() - 1, 1), Some(EntryError::Padding));
        assert_eq!(changed(17, 1), Some(EntryError::Padding), "the length must fit");
        assert_eq!(Opening::decode(&opening[..16]).err(), Some(EntryError::Opening));
        assert_eq!(Opening::decode(&opening[..17]).err(), Some(EntryError::Padding));
        assert_eq!(Opening::decode(&opening[..528]).err(), Some(EntryError::Padding));
        assert_eq!(
            Opening::decode(&[opening.as_slice(), &[0; 512]].concat()).err(),
            None,
            "1024 is a bucket"
        );
        assert_eq!(
            Opening::decode(&[opening.as_slice(), &[0; 100]].concat()).err(),
            Some(EntryError::Padding)
        );
    }

    proptest! {
        #[test]
        fn entries_and_openings_go_there_and_back(case in ".{0,900}", holder in ".{0,900}") {
            let draft = Draft::blind(&event(&case), &event(&holder), &Counting::default()).unwrap();
            prop_assert_eq!(Entry::decode(&draft.entry.encode()), Ok(draft.entry));
            for (opening, text) in [(&draft.partner, &case), (&draft.holder, &holder)] {
                let read = Opening::decode(&opening.encode()).unwrap();
                prop_assert_eq!(read.encode(), opening.encode());
                prop_assert_eq!(draft.entry.opens(&read), Ok(event(text)));
            }
        }

        #[test]
        fn a_changed_opening_opens_nothing(at in 0..529usize, flip in 1..=u8::MAX) {
            let draft = draft();
            let mut bytes = draft.partner.encode();
            bytes[at] ^= flip;
            if let Ok(changed) = Opening::decode(&bytes) {
                prop_assert_eq!(draft.entry.opens(&changed), Err(EntryError::Commitment));
            }
        }

        #[test]
        fn a_changed_entry_opens_nothing(at in 0..65usize, flip in 1..=u8::MAX) {
            let draft = draft();
            let mut bytes = draft.entry.encode();
            bytes[at] ^= flip;
            if let Ok(changed) = Entry::decode(&bytes) {
                let side = if at < 33 { &draft.partner } else { &draft.holder };
                prop_assert_eq!(changed.opens(side), Err(EntryError::Commitment));
            }
        }
    }
}
