//! Pages of lists: how many items, and where the next page begins.
//!
//! A token is opaque to callers: the last item's id or the next item's index, in base64url. It carries no
//! permission; the list asks the rules for each page.

use data_encoding::BASE64URL_NOPAD;
use prost::Message;

use super::change_form::FormFault;

/// How many items a list shows at most, and how many where the caller does not say.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageSizes {
    /// Where the caller does not say.
    pub(super) usual: u32,
    /// At most.
    pub(super) most: u32,
}

/// The number of items to show.
///
/// # Errors
/// [`FormFault`] of `page_size` when it is below zero or above the most.
pub(super) fn size(sent: i32, sizes: PageSizes) -> Result<u32, FormFault> {
    match u32::try_from(sent) {
        Ok(0) => Ok(sizes.usual),
        Ok(size) if size <= sizes.most => Ok(size),
        _ => Err(FormFault::new(SIZE_FIELD, format!("is {sent}; send 1 to {}, or leave it out", sizes.most))),
    }
}

/// The id in a token: the last item of the page before; `None` for the first page.
///
/// # Errors
/// [`FormFault`] of `page_token` when it is not a token of this list.
pub(super) fn last_id<const N: usize>(token: &str) -> Result<Option<[u8; N]>, FormFault> {
    decode(token)?.map(|bytes| bytes.try_into().map_err(|_| wrong())).transpose()
}

/// The index in a token: the first item of the page; 0 for the first page.
///
/// # Errors
/// [`FormFault`] of `page_token` when it is not a token of this list.
pub(super) fn first_index(token: &str) -> Result<u64, FormFault> {
    let Some(bytes) = decode(token)? else { return Ok(0) };
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong())?;
    let index = text.parse().map_err(|_| wrong())?;
    if index_token(index) == token { Ok(index) } else { Err(wrong()) }
}

/// The token of the page after this item.
#[must_use]
pub(super) fn id_token(last: &[u8]) -> String {
    BASE64URL_NOPAD.encode(last)
}

/// The token of the page that begins with this index.
#[must_use]
pub(super) fn index_token(first: u64) -> String {
    BASE64URL_NOPAD.encode(first.to_string().as_bytes())
}

/// Cuts what was asked for with one item to spare down to the page, and gives the token of the next one: empty
/// on the last.
pub(super) fn cut<T, const N: usize>(
    items: &mut Vec<T>,
    size: u32,
    id: impl FnOnce(&T) -> [u8; N],
) -> String {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if items.len() <= size {
        return String::new();
    }
    items.truncate(size);
    items.last().map(|last| id_token(&id(last))).unwrap_or_default()
}

/// The same for a list whose items have indices: the first item that was cut off begins the next page.
pub(super) fn cut_by_index<T>(items: &mut Vec<T>, size: u32, index: impl FnOnce(&T) -> u64) -> String {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let next = items.get(size).map(index).map(index_token);
    items.truncate(size);
    next.unwrap_or_default()
}

/// How many of the messages, from the first on, go into one answer: no more than the page, no more bytes than
/// clients take, and one at least, so that every list comes to its end.
#[must_use]
pub(super) fn fitting<T: Message>(messages: &[T], size: u32) -> u32 {
    let ends = messages.iter().scan(0_usize, |bytes, message| {
        *bytes = bytes.saturating_add(message.encoded_len());
        Some(*bytes)
    });
    let fit = ends.take_while(|bytes| *bytes <= ANSWER_MAX_BYTES).count();
    u32::try_from(fit).unwrap_or(u32::MAX).clamp(1, size.max(1))
}

/// One more than the page, to see whether there is a next one.
#[must_use]
pub(super) const fn with_one_to_spare(size: u32) -> u32 {
    size.saturating_add(1)
}

fn decode(token: &str) -> Result<Option<Vec<u8>>, FormFault> {
    if token.is_empty() {
        return Ok(None);
    }
    BASE64URL_NOPAD.decode(token.as_bytes()).map(Some).map_err(|_| wrong())
}

fn wrong() -> FormFault {
    FormFault::new(TOKEN_FIELD, "is not a token of this list; send the one that came with the page before")
}

const SIZE_FIELD: &str = "page_size";
const TOKEN_FIELD: &str = "page_token";
/// gRPC's clients take messages of 4 MiB unless told otherwise; a quarter is left for what stands around a page.
const ANSWER_MAX_BYTES: usize = 3 * 1_024 * 1_024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZES: PageSizes = PageSizes { usual: 50, most: 200 };

    #[test]
    fn sizes_stay_within_their_bounds() {
        assert_eq!(size(0, SIZES), Ok(50));
        assert_eq!(size(200, SIZES), Ok(200));
        for bad in [-1, 201, i32::MIN, i32::MAX] {
            assert_eq!(size(bad, SIZES).unwrap_err().field, "page_size", "{bad} should have been refused");
        }
    }

    #[test]
    fn the_last_page_has_no_token() {
        let id = |item: &u8| [*item; 16];
        let mut items = vec![1, 2, 3];
        assert_eq!(cut(&mut items, 3, id), "");
        let token = cut(&mut items, 2, id);
        assert_eq!((items, last_id(&token).unwrap()), (vec![1, 2], Some([2; 16])));
    }

    #[test]
    fn the_next_page_begins_with_the_first_item_that_did_not_fit() {
        let mut items = vec![10, 11, 12];
        assert_eq!(cut_by_index(&mut items, 3, |item| *item), "");
        assert_eq!(first_index(&cut_by_index(&mut items, 2, |item| *item)), Ok(12));
        assert_eq!(items, [10, 11]);
    }

    #[test]
    fn a_page_ends_before_it_is_too_long_for_clients() {
        let messages = |bytes: usize| vec![vec![0_u8; bytes]; 10];
        assert_eq!(fitting(&messages(10), 4), 4);
        assert_eq!(fitting(&messages(1_024 * 1_024 - 8), 10), 3);
        assert_eq!(fitting(&messages(ANSWER_MAX_BYTES), 10), 1, "a list must come to its end");
        assert_eq!(fitting(&Vec::<Vec<u8>>::new(), 10), 1);
    }

    #[test]
    fn tokens_of_another_list_are_refused() {
        for bad in ["=", "AAAA", "a b", "AA==", &id_token(&[255; 16])] {
            assert!(first_index(bad).is_err(), "`{bad}` should have been refused as an index");
        }
        assert!(last_id::<16>(&index_token(7)).is_err());
        assert_eq!((last_id::<16>("").unwrap(), first_index("").unwrap()), (None, 0));
    }

    #[test]
    fn an_index_has_one_token() {
        for other in ["+7", "07", " 7"] {
            assert!(
                first_index(&BASE64URL_NOPAD.encode(other.as_bytes())).is_err(),
                "`{other}` is not how 7 is written"
            );
        }
    }

    proptest! {
        #[test]
        fn tokens_go_there_and_back(index: u64, id: [u8; 16]) {
            prop_assert_eq!(first_index(&index_token(index)).unwrap(), index);
            prop_assert_eq!(last_id(&id_token(&id)).unwrap(), Some(id));
        }

        #[test]
        fn any_token_is_read_or_refused(token in "[A-Za-z0-9_=-]{0,40}") {
            let _ = (first_index(&token), last_id::<16>(&token));
        }
    }
}
