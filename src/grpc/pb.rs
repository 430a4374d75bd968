//! Types generated from `proto/`, by the short names of their packages.

#![expect(
    missing_docs,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::as_conversions,
    reason = "generated from proto/, where every item has its comment"
)]

include!(concat!(env!("OUT_DIR"), "/pb.rs"));

pub use self::onebit::administration::v1 as administration;
pub use self::onebit::officer::v1 as officer;
pub use self::onebit::oversight::v1 as oversight;

pub mod enrolment {
    pub use super::onebit::enrolment::v1::*;
    pub use crate::grpc::embedding::Embedding;
}

pub mod partner {
    pub use super::onebit::partner::v1::*;
    pub use crate::grpc::embedding::Embedding;
}

/// The encoded descriptor set of every schema, for reflection and for tests that count RPCs.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/onebit.bin"));
