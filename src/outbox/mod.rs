//! What leaves the holder by its own doing: checkpoints of its journal, to witnesses; notices, to people and systems. And what is
//! asked of an agency's OpenID provider while somebody signs in by it.
//!
//! Everything here is tried again by whoever calls; nothing is kept but by the store's transactions.

mod mail;
mod notice;
mod provider;
mod tls;
mod webhook;
mod witness;

pub use mail::{Mail, MailAddress, MailError, MailSecurity, MailSettings, Mailer};
pub use notice::{NoticeSettings, PersonSettings, Receiver, SystemSettings};
pub use provider::{
    BACK_PATH, ClientAuthentication, ExchangeError, Provider, ProviderAnswer, ProviderAsked, ProviderError,
    ProviderSettings, is_https,
};
pub use webhook::{Reach, WebhookError, WebhookMessage, webhook_send};
pub use witness::{Addressee, Asked, OutboxError, checkpoint_hand_in, witness_ask};
