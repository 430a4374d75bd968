//! Keeps the door's certificate and trust as the registry and the files have them, the last good set otherwise.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::authz::Standing;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::config::material::TlsFiles;
use crate::door::{GuestTls, PeerIdentity, TlsHandle};
use crate::gate::Gate;
use crate::ids::Digest;
use crate::store::Registry;
use crate::telemetry;

use super::ServerError;

/// What keeps the door's settings.
pub(super) struct TrustKeeper {
    gate: Arc<Gate>,
    tls: Arc<TlsHandle>,
    console: Option<Arc<GuestTls>>,
    changes: watch::Receiver<u64>,
    /// As they were last read whole and found good.
    files: TlsFiles,
}

impl TrustKeeper {
    /// Opens the door's settings with the first good set.
    pub(super) fn open(gate: &Arc<Gate>, config: &Config) -> Result<Self, ServerError> {
        let files = TlsFiles::read(config)?;
        // From before the first reading, so that no change is passed over.
        let changes = gate.changes();
        let (holder, registry) = (gate.holder(), gate.registry());
        let tls = TlsHandle::new(files.material(&holder, &registry)?, Arc::new(SystemClock))?;
        let console = files.console().map(|(certificate, key)| {
            GuestTls::new(certificate, key, Arc::new(SystemClock))
                .map(Arc::new)
                .map_err(ServerError::ConsoleTls)
        });
        warn_of_strangers(&files, gate);
        Ok(Self { gate: Arc::clone(gate), tls: Arc::new(tls), console: console.transpose()?, changes, files })
    }

    /// The settings that the console's door opens with.
    pub(super) const fn console(&self) -> Option<&Arc<GuestTls>> {
        self.console.as_ref()
    }

    /// The settings that the door opens with.
    pub(super) const fn tls(&self) -> &Arc<TlsHandle> {
        &self.tls
    }

    /// Follows the registry, and reads the files again when told so, until nobody can tell any more.
    pub(super) async fn keep(mut self, config: &Path, mut reload: mpsc::Receiver<()>) {
        loop {
            tokio::select! {
                changed = self.changes.changed() => match changed {
                    Ok(()) => self.follow(),
                    Err(_) => return,
                },
                told = reload.recv() => match told {
                    Some(()) => self.reload(config),
                    None => return,
                },
            }
        }
    }

    /// After people, partners or rules changed: the files as they were, the registry as it is.
    fn follow(&self) {
        if let Err(error) = self.replace(&self.files) {
            tracing::error!(error = %telemetry::chain(&error), "trust could not follow the registry; the last good set stays");
        }
        // Whatever became of the trust, whoever may not act any more is cut off.
        let registry = self.gate.registry();
        let cut = self.tls.live().drop_where(|peer| !may_call(&registry, peer));
        tracing::info!(count = cut, "connections of those who may not call any more were dropped");
    }

    /// After the operator said so: the files that the configuration names now.
    fn reload(&mut self, config: &Path) {
        match self.read_again(config) {
            Ok(cut) => tracing::info!(count = cut, "certificate and revocation lists were read again"),
            Err(error) => {
                tracing::error!(error = %telemetry::chain(&error), "certificate and revocation lists can't be used; the last good set stays");
            }
        }
    }

    fn read_again(&mut self, config: &Path) -> Result<usize, ServerError> {
        let files = TlsFiles::read(&Config::read(config)?)?;
        let cut = self.replace(&files)?;
        if let (Some(tls), Some((certificate, key))) = (&self.console, files.console()) {
            tls.replace(certificate, key).map_err(ServerError::ConsoleTls)?;
        }
        self.files = files;
        warn_of_strangers(&self.files, &self.gate);
        Ok(cut)
    }

    fn replace(&self, files: &TlsFiles) -> Result<usize, ServerError> {
        let material = files.material(&self.gate.holder(), &self.gate.registry())?;
        Ok(self.tls.replace(material)?)
    }
}

/// Whether a peer is registered with this key and neither it nor its partner is suspended.
fn may_call(registry: &Registry, peer: &PeerIdentity) -> bool {
    let Some(person) = registry.person_by_spiffe(&peer.spiffe().to_string()) else { return false };
    Digest::sha256(&person.public_key) == peer.fingerprint()
        && registry.actor(person).standing == Standing::Active
}

/// Lists of a trust domain that nobody has may be misspelt, or be there early for a partner to come.
fn warn_of_strangers(files: &TlsFiles, gate: &Gate) {
    for domain in files.strangers(&gate.holder(), &gate.registry()) {
        tracing::warn!(%domain, "revocation lists are configured for a trust domain that is neither the holder's nor a partner's");
    }
}
