//! People who may be held twice: what is compared, and what is told of it.

use crate::ids::{CollectionName, SubjectId};
use crate::template::Protected;

use super::Withheld;

/// A template that is compared with the others of its collection.
pub struct ToCompare {
    /// Its slot.
    pub slot: u64,
    /// Whose it is.
    pub subject: SubjectId,
    /// The slots of all templates there of whoever it is, this one too: they are not looked for.
    pub own: Vec<u64>,
    /// The template.
    pub template: Protected,
}

/// Templates that were compared.
pub struct DuplicatesNew {
    /// The collection.
    pub collection: CollectionName,
    /// Those behind this slot.
    pub after: u64,
    /// How many.
    pub compared: u64,
    /// Who was found to be alike, each pair once.
    pub pairs: Withheld<Vec<[SubjectId; 2]>>,
    /// Why it was asked for.
    pub why: String,
}
