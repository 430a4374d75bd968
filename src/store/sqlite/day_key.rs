//! Values that are sealed under the payload key of a class and a day, such as the bodies of disclosures and changes.
//! Which day it is stands in front of each.
//!
//! INVARIANT: a row lies under the key of the day of the last entry about it. Each transaction that enters one seals
//! the whole row again when its day has not come to that day yet. So a row and its key go with one disposal, no row
//! outlives its key, and older copies of it lie under keys that go no later. Sealing again at the disposal, and only
//! what it would leave behind, was not chosen: what is entered between that transaction and the end of the keys
//! would come too late, and the longest transaction there is would grow.

use rusqlite::Connection;

use crate::authz::PayloadClass;
use crate::keys::Place;
use crate::secret::SecretBytes;
use crate::store::StoreError;

use super::disposal::disposed_before;
use super::keystore::PayloadKey;
use super::{Context, opened, sealed};

/// The payload key of a class and a day, with the day.
#[derive(Clone)]
pub(super) struct DayKey {
    class: PayloadClass,
    day: i64,
    key: PayloadKey,
}

impl DayKey {
    /// The key of a day, made when it is the first time.
    pub(super) fn of_day(context: &Context, class: PayloadClass, day: i64) -> Result<Self, StoreError> {
        let key = context.keys.payload_key(class.number(), day, context.entropy.as_ref())?;
        Ok(Self { class, day, key })
    }

    /// The key that a value lies under; `None` when a disposal that is in effect has taken the value, though it may
    /// still be there.
    pub(super) fn of_value(
        context: &Context,
        sql: &Connection,
        class: PayloadClass,
        stored: &[u8],
    ) -> Result<Option<Self>, StoreError> {
        let (day, _) =
            split(stored).ok_or(StoreError::Damaged { what: "a value without the day of its key" })?;
        let key = context.keys.payload_key_find(class.number(), day)?;
        // A view of the database may be older than a disposal that has destroyed the key meanwhile.
        let is_gone = key.is_none() && context.keys.payload_key_is_destroyed(class.number(), day);
        if is_gone || day < disposed_before(sql, class.number())? {
            return Ok(None);
        }
        let key =
            key.ok_or(StoreError::Damaged { what: "a row whose key is gone that was not disposed of" })?;
        Ok(Some(Self { class, day, key }))
    }

    /// The key of today, when that is a later day than this key's.
    pub(super) fn later(&self, context: &Context, today: i64) -> Result<Option<Self>, StoreError> {
        if today <= self.day { Ok(None) } else { Self::of_day(context, self.class, today).map(Some) }
    }

    /// Seals a value for its place, with the day in front.
    pub(super) fn seal(
        &self,
        context: &Context,
        doing: &'static str,
        place: Place<'_>,
        plain: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let value = self.key.sealing().seal(place, plain, context.entropy.as_ref());
        Ok([mark(self.day).as_slice(), &sealed(doing, value)?].concat())
    }

    /// Opens a value in its place. A value of another day belongs to another row.
    pub(super) fn open(
        &self,
        doing: &'static str,
        place: Place<'_>,
        stored: &[u8],
    ) -> Result<SecretBytes, StoreError> {
        let of_day = split(stored).filter(|(day, _)| *day == self.day);
        let (_, value) = of_day.ok_or(StoreError::Damaged { what: "a row that lies under several keys" })?;
        opened(doing, self.key.sealing().open(place, value))
    }

    /// Seals a value that lies under this key under a later one.
    pub(super) fn seal_again(
        &self,
        context: &Context,
        later: &Self,
        place: Place<'_>,
        stored: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let plain = self.open("opening what is to be sealed again", place, stored)?;
        later.seal(context, "sealing again", place, plain.expose())
    }
}

/// What stands in front of a value: its day, so that bytes are in the order of the days and SQL can compare them.
pub(super) const fn mark(day: i64) -> [u8; MARK_BYTES] {
    (day.cast_unsigned() ^ SIGN).to_be_bytes()
}

/// The day of a stored value, and what is sealed.
pub(super) fn split(stored: &[u8]) -> Option<(i64, &[u8])> {
    let (mark, value) = stored.split_first_chunk::<MARK_BYTES>()?;
    Some(((u64::from_be_bytes(*mark) ^ SIGN).cast_signed(), value))
}

const MARK_BYTES: usize = 8;
/// Days before 1970 come before the others.
const SIGN: u64 = 1 << 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_in_the_order_of_their_days() {
        let days = [i64::MIN, -1, 0, 1, 255, 256, 20_717, i64::MAX];
        assert!(days.map(mark).is_sorted(), "SQL compares marks as bytes");
        for day in days {
            let stored = [mark(day).as_slice(), b"sealed"].concat();
            assert_eq!(split(&stored), Some((day, b"sealed".as_slice())));
        }
        assert_eq!(split(&[0; 7]), None);
    }
}
