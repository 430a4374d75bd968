//! What a partner may ask: its own standing, agreements, schemes and release key.

use tonic::Request;
use zeroize::Zeroize;

use super::call::{Desk, Reply};
use super::change_form::partner_resource;
use super::parse::{self, AGREEMENTS, COLLECTIONS, SCHEMES};
use super::pb::partner as pb;
use super::pb::partner::agreement_service_server::AgreementService;
use super::timestamp::timestamp_to_pb;
use crate::authz::{Action, Agreement, HitConfirmation, Standing};
use crate::gate::{SchemeView, StandingView};
use crate::ids::{CollectionName, PartnerName};
use crate::secret::Secret;
use crate::template::MinimumQuality;

/// Tells partners what they may ask.
#[derive(Clone)]
pub(super) struct Agreements {
    pub(super) desk: Desk,
}

#[tonic::async_trait]
impl AgreementService for Agreements {
    async fn get_standing(&self, request: Request<pb::GetStandingRequest>) -> Reply<pb::GetStandingResponse> {
        let call = self.desk.call(Action::GetStanding, &request);
        call.reply(async { Ok(standing(self.desk.gate().standing_get(&call.caller()?).await?)) }).await
    }

    async fn list_agreements(
        &self,
        request: Request<pb::ListAgreementsRequest>,
    ) -> Reply<pb::ListAgreementsResponse> {
        let call = self.desk.call(Action::ListAgreements, &request);
        call.reply(async {
            let agreements = self.desk.gate().agreement_list(&call.caller()?).await?;
            let agreements = agreements.iter().map(|view| agreement(view)).collect();
            Ok(pb::ListAgreementsResponse { agreements })
        })
        .await
    }

    async fn list_schemes(&self, request: Request<pb::ListSchemesRequest>) -> Reply<pb::ListSchemesResponse> {
        let call = self.desk.call(Action::ListSchemes, &request);
        call.reply(async {
            let schemes = self.desk.gate().scheme_list(&call.caller()?).await?;
            Ok(pb::ListSchemesResponse { schemes: schemes.into_iter().map(scheme).collect() })
        })
        .await
    }

    async fn start_release_key(
        &self,
        request: Request<pb::StartReleaseKeyRequest>,
    ) -> Reply<pb::StartReleaseKeyResponse> {
        let call = self.desk.call(Action::StartReleaseKey, &request);
        call.reply(async {
            let caller = call.caller()?;
            let key = parse::bytes_32("public_key", &request.get_ref().public_key)?;
            let challenge = self.desk.gate().release_key_start(&caller, key).await?;
            Ok(pb::StartReleaseKeyResponse {
                sealed_challenge: challenge.sealed,
                info: caller.actor().partner.as_ref().map(|partner| info(partner, &key)).unwrap_or_default(),
                expire_time: Some(timestamp_to_pb(challenge.expires)),
            })
        })
        .await
    }

    async fn prove_release_key(
        &self,
        request: Request<pb::ProveReleaseKeyRequest>,
    ) -> Reply<pb::ProveReleaseKeyResponse> {
        let call = self.desk.call(Action::ProveReleaseKey, &request);
        call.reply(async {
            let caller = call.caller()?;
            let mut sent = request.into_inner();
            let challenge = parse::bytes_32("challenge", &sent.challenge);
            sent.challenge.zeroize();
            let challenge = Secret::take(&mut challenge?);
            let key = parse::bytes_32("public_key", &sent.public_key)?;
            let (change, receipt) = self.desk.gate().release_key_prove(&caller, key, &challenge).await?;
            Ok(pb::ProveReleaseKeyResponse { change: change.resource(), receipt })
        })
        .await
    }
}

/// The `info` that the challenge is sealed with, as `keys::seal_challenge` documents it.
fn info(partner: &PartnerName, key: &[u8; 32]) -> Vec<u8> {
    let partner = partner.as_str().as_bytes();
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
    [CHALLENGE_DOMAIN, &[0], &length(partner), partner, &length(key), key].concat()
}

fn standing(view: StandingView) -> pb::GetStandingResponse {
    let standing = match view.standing {
        Standing::Active => pb::Standing::Active,
        Standing::Suspended => pb::Standing::Suspended,
    };
    let remaining = view.remaining.into_iter().map(|left| pb::RemainingVolume {
        agreement: format!("{AGREEMENTS}{}", left.agreement),
        today: left.today,
        this_year: left.this_year,
    });
    pb::GetStandingResponse {
        partner: partner_resource(&view.partner),
        standing: standing.into(),
        remaining: remaining.collect(),
        release_key: view.release_key.map(|key| key.to_vec()),
    }
}

fn agreement(agreement: &Agreement) -> pb::Agreement {
    let instrument = &agreement.instrument;
    let disclosable = agreement.purposes.iter().map(|(purpose, terms)| pb::DisclosableFields {
        purpose: purpose.to_string(),
        fields: terms.discloses.iter().map(ToString::to_string).collect(),
    });
    pb::Agreement {
        name: format!("{AGREEMENTS}{}", agreement.name),
        instrument: format!("{} ({}, {})", instrument.title, instrument.reference, instrument.article),
        purposes: agreement.purposes.keys().map(ToString::to_string).collect(),
        collections: agreement.collections.iter().map(collection).collect(),
        queries_a_day: agreement.volumes.per_day.into(),
        queries_a_year: agreement.volumes.per_year.into(),
        disclosable: disclosable.collect(),
        valid_from: agreement.term.from.to_string(),
        valid_until: agreement.term.until.to_string(),
        review_by: agreement.term.review_by.to_string(),
        fpir: agreement.accuracy.fpir,
        urgent: agreement
            .urgent
            .as_ref()
            .map(|urgent| pb::UrgentPath { decide_within_seconds: urgent.decide_within.as_secs() }),
        fresh_sample: matches!(agreement.hit_confirmation, HitConfirmation::Required(_)),
    }
}

fn scheme(view: SchemeView) -> pb::Scheme {
    let scheme = view.file.scheme;
    let test_vectors = view.file.test_vectors.into_iter().map(|vector| pb::TestVector {
        input: vector.name,
        input_sha256: vector.media_sha256.as_bytes().to_vec(),
        embedding: vector.embedding,
        minimum_cosine: vector.minimum_cosine,
    });
    pb::Scheme {
        name: format!("{SCHEMES}{}", scheme.name),
        collections: view.collections.iter().map(collection).collect(),
        modality: scheme.modality.to_string(),
        extractor: scheme.extractor.name().to_owned(),
        extractor_version: scheme.extractor.version().to_owned(),
        dimension: scheme.dimension.get().into(),
        normalisation: scheme.normalisation.to_string(),
        minimum_quality: match scheme.minimum_quality {
            MinimumQuality::None => None,
            MinimumQuality::Score(score) => Some(score.get().into()),
        },
        test_vectors: test_vectors.collect(),
    }
}

fn collection(name: &CollectionName) -> String {
    format!("{COLLECTIONS}{name}")
}

const CHALLENGE_DOMAIN: &[u8] = b"onebit/release-key-challenge/v1";

#[cfg(test)]
mod tests {
    use hpke::aead::AesGcm256;
    use hpke::kdf::HkdfSha256;
    use hpke::kem::X25519HkdfSha256;
    use hpke::{Deserializable, Kem, OpModeR};

    use super::*;
    use crate::keys::{ReleasePublicKey, seal_challenge};
    use crate::secret::SystemEntropy;

    #[test]
    fn a_challenge_opens_with_the_info_that_is_sent_beside_it() {
        let secret = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&[7; 32]).unwrap();
        let public: [u8; 32] = hpke::Serializable::to_bytes(&X25519HkdfSha256::sk_to_pk(&secret)).into();
        let partner: PartnerName = "au-border".parse().unwrap();
        let entropy = SystemEntropy::new();
        let challenge = Secret::<32>::random(&entropy).unwrap();
        let key = ReleasePublicKey::from_bytes(public).unwrap();
        let wire = seal_challenge(&key, &partner, &challenge, &entropy).unwrap();
        let (encapsulated, ciphertext) = wire.split_at(32);
        let opened = hpke::single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &secret,
            &<X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated).unwrap(),
            &info(&partner, &public),
            ciphertext,
            &[],
        );
        assert_eq!(opened.unwrap().as_slice(), challenge.expose());
    }
}
