//! How a connection comes in: mutual TLS, who the peer is, and what a connection may cost us.
//!
//! A connection passes, in this order: a slot for its handshake ([`listener`]), TLS 1.3 with the settings of the
//! moment ([`settings`]), its trust domain's own roots and revocation lists ([`trust`]), its one name
//! ([`identity`]), a place among the live connections ([`live`]), and from then on the frame budget
//! ([`frames`]) and the limits of HTTP ([`limits`]).
//!
//! Two rooms stand behind a door each: `grpc` with the calls, and `tiles` with the log as files. Browsers come in
//! by a door of their own without certificates ([`guest`]), behind which `console` has people sign in.
//!
//! What is not protected here: whether the peer may do anything at all. The door says who calls; standing and
//! agreement are checked at every request.

pub mod connection;
pub mod frames;
pub mod guest;
pub mod identity;
pub mod limits;
pub mod listener;
pub mod live;
pub mod refusal;
pub mod settings;
pub mod slots;
pub mod trust;

pub use connection::{Connection, Ended, Peer};
pub use frames::{FrameBudget, FrameWatch};
pub use guest::{Guest, GuestDoor, GuestTls};
pub use identity::{IdentityError, KeyType, PeerIdentity, SpiffeError, SpiffeId, TrustDomainName};
pub use limits::DoorLimits;
pub use listener::{Door, Incoming};
pub use live::{ConnectionHandle, LiveConnections};
pub use refusal::Refusal;
pub use settings::{Protocol, SettingsError, Speaks, TlsHandle, TlsMaterial, TlsSettings};
pub use slots::{RpcSlot, RpcSlots, SlotsError};
pub use trust::{Trust, TrustDomain, TrustError};
