//! Changes on the wire: from the message to the store's type and back, for the server that keeps them and for
//! the client that signs them. Both compute the same digest of what comes out here.

use crate::authz::{Bundle, PayloadClass, Role, Standing};
use crate::clock::Timestamp;
use crate::grpc::parse::{AGREEMENTS, COLLECTIONS};
use crate::grpc::pb::administration as pb;
use crate::grpc::pb::administration::change::Change as Which;
use crate::ids::{ActorName, AgreementName, Digest, IdError, PartnerName, SOURCE_ID_MAX_CHARS, SubjectId};
use crate::keys::SUBJECT_MAX_BYTES;
use crate::keys::webauthn::CREDENTIAL_MAX_BYTES;
use crate::store::ProviderAccount;
use crate::store::change::{Change, ChangeState, Delegating, Invitation};
use crate::store::registry::{Partner, Person};

/// A field of a message that is not in its form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {what}")]
pub struct FormFault {
    /// The field, as it is written in the schema.
    pub field: String,
    /// What is wrong with it, and what to do.
    pub what: String,
}

impl FormFault {
    /// The fault of a field.
    #[must_use]
    pub fn new(field: &str, what: impl Into<String>) -> Self {
        Self { field: field.to_owned(), what: what.into() }
    }
}

/// Reads a change.
///
/// # Errors
/// [`FormFault`] with the first field that is missing or not in its form.
pub fn change_from_pb(change: pb::Change) -> Result<Change, FormFault> {
    match change.change.ok_or_else(|| FormFault::new("change", MISSING))? {
        Which::PutPerson(put) => put_person(put).map(Change::PutPerson),
        Which::PutPartner(put) => put_partner(put).map(Change::PutPartner),
        Which::PutReleaseKey(put) => Ok(Change::PutReleaseKey {
            partner: partner_name("change.put_release_key.partner", &put.partner)?,
            key: put.public_key.as_slice().try_into().map_err(|_| {
                FormFault::new("change.put_release_key.public_key", "is not the 32 bytes of an X25519 key")
            })?,
        }),
        Which::ActivatePolicy(activate) => {
            let files = activate.files.into_iter().map(|file| (file.path, file.content));
            let bundle = Bundle::from_files(files)
                .map_err(|error| FormFault::new("change.activate_policy.files", error.to_string()))?;
            if bundle.files().next().is_none() {
                return Err(FormFault::new("change.activate_policy.files", MISSING));
            }
            Ok(Change::ActivatePolicy(bundle))
        }
        Which::LiftRestriction(lift) => Ok(Change::LiftRestriction {
            source_id: text("change.lift_restriction.source_id", lift.source_id, SOURCE_ID_MAX_CHARS)?,
            restriction: named("change.lift_restriction.restriction", &lift.restriction)?,
        }),
        Which::MergeSubjects(merge) => Ok(Change::MergeSubjects([
            subject("change.merge_subjects.subject", &merge.subject)?,
            subject("change.merge_subjects.other", &merge.other)?,
        ])),
        Which::SplitSubject(split) => {
            subject("change.split_subject.subject", &split.subject).map(Change::SplitSubject)
        }
        Which::RestorePartner(restore) => {
            partner_name("change.restore_partner.partner", &restore.partner).map(Change::RestorePartner)
        }
        Which::RestorePerson(restore) => {
            person_name("change.restore_person.person", &restore.person).map(Change::RestorePerson)
        }
        Which::RestoreOfficial(restore) => Ok(Change::RestoreOfficial {
            partner: partner_name("change.restore_official.partner", &restore.partner)?,
            official: text("change.restore_official.official", restore.official, OFFICIAL_MAX_CHARS)?,
        }),
        Which::RestoreAgreement(restore) => {
            agreement_name("change.restore_agreement.agreement", &restore.agreement)
                .map(Change::RestoreAgreement)
        }
        Which::Dispose(dispose) => put_dispose(&dispose),
        Which::ChangeLogKey(pb::ChangeLogKey {}) => Ok(Change::ChangeLogKey),
        Which::RenewCollection(renew) => {
            let named = of_collection("change.renew_collection.collection", &renew.collection, COLLECTIONS);
            named.map(Change::RenewCollection)
        }
        Which::InvitePerson(invite) => invite_person(&invite).map(Change::InvitePerson),
        Which::PutPasskey(put) => Ok(Change::PutPasskey {
            person: person_name("change.put_passkey.person", &put.person)?,
            credential: bytes("change.put_passkey.credential", put.credential, CREDENTIAL_MAX_BYTES)?,
            public_key: bytes("change.put_passkey.public_key", put.public_key, PUBLIC_KEY_MAX_BYTES)?,
        }),
        Which::PutDelegation(put) => Ok(Change::PutDelegation(Delegating {
            delegator: person_name("change.put_delegation.delegator", &put.delegator)?,
            delegate: person_name("change.put_delegation.delegate", &put.delegate)?,
            since: Timestamp::from_millis(put.since_millis),
            until: Timestamp::from_millis(put.until_millis),
        })),
        Which::BindAccount(bind) => Ok(Change::BindAccount {
            person: person_name("change.bind_account.person", &bind.person)?,
            account: ProviderAccount {
                issuer: text("change.bind_account.issuer", bind.issuer, ISSUER_MAX_CHARS)?,
                subject: text("change.bind_account.subject", bind.subject, SUBJECT_MAX_BYTES)?,
            },
        }),
    }
}

fn subject(field: &str, sent: &str) -> Result<SubjectId, FormFault> {
    SubjectId::parse_resource(sent).map_err(|error| FormFault::new(field, error.to_string()))
}

/// Writes a change.
#[must_use]
pub fn change_to_pb(change: &Change) -> pb::Change {
    let which = match change {
        Change::PutPerson(person) => Which::PutPerson(pb::PutPerson {
            person: person_resource(&person.name),
            role: role_to_pb(person.role).into(),
            spiffe_id: person.spiffe_id.clone(),
            public_key: person.public_key.clone(),
            partner: person.partner.as_ref().map(partner_resource).unwrap_or_default(),
            contact: person.contact.clone().unwrap_or_default(),
            unit: person.unit.as_ref().map(ToString::to_string).unwrap_or_default(),
        }),
        Change::PutPartner(partner) => Which::PutPartner(pb::PutPartner {
            partner: partner_resource(&partner.name),
            title: partner.title.clone(),
            trust_domain: partner.trust_domain.clone(),
            authorities: partner.authorities.clone(),
            contact: partner.contact.clone().unwrap_or_default(),
        }),
        Change::PutReleaseKey { partner, key } => Which::PutReleaseKey(pb::PutReleaseKey {
            partner: partner_resource(partner),
            public_key: key.to_vec(),
        }),
        Change::ActivatePolicy(bundle) => {
            Which::ActivatePolicy(pb::ActivatePolicy { files: files_to_pb(bundle) })
        }
        Change::LiftRestriction { source_id, restriction } => Which::LiftRestriction(pb::LiftRestriction {
            source_id: source_id.clone(),
            restriction: restriction.as_str().to_owned(),
        }),
        Change::MergeSubjects([one, other]) => {
            Which::MergeSubjects(pb::MergeSubjects { subject: one.resource(), other: other.resource() })
        }
        Change::SplitSubject(subject) => {
            Which::SplitSubject(pb::SplitSubject { subject: subject.resource() })
        }
        Change::RestorePartner(partner) => {
            Which::RestorePartner(pb::RestorePartner { partner: partner_resource(partner) })
        }
        Change::RestorePerson(person) => {
            Which::RestorePerson(pb::RestorePerson { person: person_resource(person) })
        }
        Change::RestoreOfficial { partner, official } => Which::RestoreOfficial(pb::RestoreOfficial {
            partner: partner_resource(partner),
            official: official.clone(),
        }),
        Change::RestoreAgreement(agreement) => {
            Which::RestoreAgreement(pb::RestoreAgreement { agreement: format!("{AGREEMENTS}{agreement}") })
        }
        Change::Dispose { class, before } => Which::Dispose(pb::Dispose {
            payload_class: payload_class_to_pb(*class).into(),
            before: before.to_string(),
        }),
        Change::ChangeLogKey => Which::ChangeLogKey(pb::ChangeLogKey {}),
        Change::RenewCollection(collection) => {
            Which::RenewCollection(pb::RenewCollection { collection: format!("{COLLECTIONS}{collection}") })
        }
        Change::InvitePerson(invitation) => Which::InvitePerson(pb::InvitePerson {
            person: person_resource(&invitation.person),
            role: role_to_pb(invitation.role).into(),
            secret_sha256: invitation.secret.as_bytes().to_vec(),
            ends_millis: invitation.ends.as_millis(),
        }),
        Change::PutPasskey { person, credential, public_key } => Which::PutPasskey(pb::PutPasskey {
            person: person_resource(person),
            credential: credential.clone(),
            public_key: public_key.clone(),
        }),
        Change::PutDelegation(it) => Which::PutDelegation(pb::PutDelegation {
            delegator: person_resource(&it.delegator),
            delegate: person_resource(&it.delegate),
            since_millis: it.since.as_millis(),
            until_millis: it.until.as_millis(),
        }),
        Change::BindAccount { person, account } => Which::BindAccount(pb::BindAccount {
            person: person_resource(person),
            issuer: account.issuer.clone(),
            subject: account.subject.clone(),
        }),
    };
    pb::Change { change: Some(which) }
}

/// The files of a policy folder.
#[must_use]
pub fn files_to_pb(bundle: &Bundle) -> Vec<pb::PolicyFile> {
    bundle
        .files()
        .map(|(path, content)| pb::PolicyFile { path: path.to_owned(), content: content.to_vec() })
        .collect()
}

/// The role as it is sent.
#[must_use]
pub const fn role_to_pb(role: Role) -> pb::Role {
    match role {
        Role::PartnerSystem => pb::Role::PartnerSystem,
        Role::EnrolmentSystem => pb::Role::EnrolmentSystem,
        Role::Witness => pb::Role::Witness,
        Role::ApprovingOfficer => pb::Role::ApprovingOfficer,
        Role::Examiner => pb::Role::Examiner,
        Role::PrivacyOfficer => pb::Role::PrivacyOfficer,
        Role::Administrator => pb::Role::Administrator,
    }
}

/// The role that was sent; `None` for the unspecified one.
#[must_use]
pub const fn role_from_pb(role: pb::Role) -> Option<Role> {
    match role {
        pb::Role::Unspecified => None,
        pb::Role::PartnerSystem => Some(Role::PartnerSystem),
        pb::Role::EnrolmentSystem => Some(Role::EnrolmentSystem),
        pb::Role::Witness => Some(Role::Witness),
        pb::Role::ApprovingOfficer => Some(Role::ApprovingOfficer),
        pb::Role::Examiner => Some(Role::Examiner),
        pb::Role::PrivacyOfficer => Some(Role::PrivacyOfficer),
        pb::Role::Administrator => Some(Role::Administrator),
    }
}

/// The standing as it is sent.
#[must_use]
pub const fn standing_to_pb(standing: Standing) -> pb::Standing {
    match standing {
        Standing::Active => pb::Standing::Active,
        Standing::Suspended => pb::Standing::Suspended,
    }
}

/// The state as it is sent.
#[must_use]
pub const fn state_to_pb(state: ChangeState) -> pb::ChangeState {
    match state {
        ChangeState::Proposed => pb::ChangeState::Proposed,
        ChangeState::Confirmed => pb::ChangeState::Confirmed,
        ChangeState::Rejected => pb::ChangeState::Rejected,
    }
}

/// The class of payloads as it is sent.
#[must_use]
pub const fn payload_class_to_pb(class: PayloadClass) -> pb::PayloadClass {
    match class {
        PayloadClass::Query => pb::PayloadClass::Query,
        PayloadClass::Disclosure => pb::PayloadClass::Disclosure,
        PayloadClass::Enrolment => pb::PayloadClass::Enrolment,
        PayloadClass::Administration => pb::PayloadClass::Administration,
        PayloadClass::Access => pb::PayloadClass::Access,
    }
}

/// The class of payloads that was sent; `None` for the unspecified one.
#[must_use]
pub const fn payload_class_from_pb(class: pb::PayloadClass) -> Option<PayloadClass> {
    match class {
        pb::PayloadClass::Unspecified => None,
        pb::PayloadClass::Query => Some(PayloadClass::Query),
        pb::PayloadClass::Disclosure => Some(PayloadClass::Disclosure),
        pb::PayloadClass::Enrolment => Some(PayloadClass::Enrolment),
        pb::PayloadClass::Administration => Some(PayloadClass::Administration),
        pb::PayloadClass::Access => Some(PayloadClass::Access),
    }
}

/// The resource name of a partner.
#[must_use]
pub fn partner_resource(partner: &PartnerName) -> String {
    format!("{PARTNERS}{partner}")
}

/// The resource name of a person or a system.
#[must_use]
pub fn person_resource(person: &ActorName) -> String {
    format!("{PEOPLE}{person}")
}

/// The partner of a resource name.
///
/// # Errors
/// [`FormFault`] of `field` when it is missing or not in its form.
pub fn partner_name(field: &str, resource: &str) -> Result<PartnerName, FormFault> {
    of_collection(field, resource, PARTNERS)
}

/// The agreement of a resource name.
///
/// # Errors
/// [`FormFault`] of `field` when it is missing or not in its form.
pub fn agreement_name(field: &str, resource: &str) -> Result<AgreementName, FormFault> {
    of_collection(field, resource, AGREEMENTS)
}

/// The person or system of a resource name.
///
/// # Errors
/// [`FormFault`] of `field` when it is missing or not in its form.
pub fn person_name(field: &str, resource: &str) -> Result<ActorName, FormFault> {
    of_collection(field, resource, PEOPLE)
}

fn put_dispose(dispose: &pb::Dispose) -> Result<Change, FormFault> {
    let class = payload_class_from_pb(dispose.payload_class());
    let class = class.ok_or_else(|| {
        FormFault::new("change.dispose.payload_class", "is missing or unknown; say which payloads")
    })?;
    // One way to write a date: what is signed is what was read.
    let before = dispose.before.parse::<jiff::civil::Date>().ok();
    let before = before.filter(|date| date.to_string() == dispose.before).ok_or_else(|| {
        FormFault::new("change.dispose.before", "is not a date of the calendar, as `2026-07-01`")
    })?;
    Ok(Change::Dispose { class, before })
}

fn invite_person(invite: &pb::InvitePerson) -> Result<Invitation, FormFault> {
    let role = pb::Role::try_from(invite.role).ok().and_then(role_from_pb);
    let role =
        role.ok_or_else(|| FormFault::new("change.invite_person.role", "is missing or unknown; say which"))?;
    let secret = invite.secret_sha256.as_slice().try_into().map_err(|_| {
        FormFault::new("change.invite_person.secret_sha256", "is not the 32 bytes of a SHA-256")
    })?;
    Ok(Invitation {
        person: person_name("change.invite_person.person", &invite.person)?,
        role,
        secret: Digest::from_bytes(secret),
        ends: Timestamp::from_millis(invite.ends_millis),
    })
}

fn put_person(put: pb::PutPerson) -> Result<Person, FormFault> {
    let role = pb::Role::try_from(put.role).ok().and_then(role_from_pb);
    let role =
        role.ok_or_else(|| FormFault::new("change.put_person.role", "is missing or unknown; say which"))?;
    let partner = match (role, put.partner.as_str()) {
        (Role::PartnerSystem, resource) => Some(partner_name("change.put_person.partner", resource)?),
        (_, "") => None,
        _ => {
            return Err(FormFault::new(
                "change.put_person.partner",
                "is for partner systems only; leave it out",
            ));
        }
    };
    Ok(Person {
        name: person_name("change.put_person.person", &put.person)?,
        role,
        spiffe_id: text("change.put_person.spiffe_id", put.spiffe_id, SPIFFE_ID_MAX_CHARS)?,
        public_key: bytes("change.put_person.public_key", put.public_key, PUBLIC_KEY_MAX_BYTES)?,
        partner,
        standing: Standing::Active,
        contact: contact("change.put_person.contact", put.contact)?,
        unit: match put.unit.as_str() {
            "" => None,
            unit => Some(super::parse::name("change.put_person.unit", unit)?),
        },
    })
}

fn put_partner(put: pb::PutPartner) -> Result<Partner, FormFault> {
    let field = "change.put_partner.authorities";
    if !(1..=AUTHORITIES_MAX).contains(&put.authorities.len()) {
        return Err(FormFault::new(field, format!("are not 1 to {AUTHORITIES_MAX} certificates")));
    }
    let authorities = put.authorities.into_iter().map(|der| bytes(field, der, CERTIFICATE_MAX_BYTES));
    Ok(Partner {
        name: partner_name("change.put_partner.partner", &put.partner)?,
        title: text("change.put_partner.title", put.title, TITLE_MAX_CHARS)?,
        trust_domain: text("change.put_partner.trust_domain", put.trust_domain, SPIFFE_ID_MAX_CHARS)?,
        authorities: authorities.collect::<Result<_, _>>()?,
        standing: Standing::Active,
        release_key: None,
        contact: contact("change.put_partner.contact", put.contact)?,
    })
}

/// How to reach somebody; absent means unknown.
fn contact(field: &str, sent: String) -> Result<Option<String>, FormFault> {
    if sent.is_empty() { Ok(None) } else { text(field, sent, CONTACT_MAX_CHARS).map(Some) }
}

fn of_collection<T: std::str::FromStr<Err = IdError>>(
    field: &str,
    resource: &str,
    prefix: &str,
) -> Result<T, FormFault> {
    match resource.strip_prefix(prefix) {
        Some(name) => named(field, name),
        None if resource.is_empty() => Err(FormFault::new(field, MISSING)),
        None => Err(FormFault::new(field, format!("does not begin with `{prefix}`; write the whole name"))),
    }
}

fn named<T: std::str::FromStr<Err = IdError>>(field: &str, name: &str) -> Result<T, FormFault> {
    name.parse().map_err(|error: IdError| FormFault::new(field, error.to_string()))
}

fn text(field: &str, value: String, max_chars: usize) -> Result<String, FormFault> {
    if value.trim().is_empty() {
        Err(FormFault::new(field, MISSING))
    } else if value.chars().count() > max_chars || value.contains(char::is_control) {
        Err(FormFault::new(
            field,
            format!("is longer than {max_chars} characters or holds control characters"),
        ))
    } else {
        Ok(value)
    }
}

fn bytes(field: &str, value: Vec<u8>, max: usize) -> Result<Vec<u8>, FormFault> {
    match value.len() {
        0 => Err(FormFault::new(field, MISSING)),
        length if length > max => {
            Err(FormFault::new(field, format!("has {length} bytes, and {max} are allowed")))
        }
        _ => Ok(value),
    }
}

const PARTNERS: &str = "partners/";
const PEOPLE: &str = "people/";
const MISSING: &str = "is missing; give it";
const OFFICIAL_MAX_CHARS: usize = 128;
/// The longest SPIFFE id (SPIFFE-ID, section 2.3) is 2,048 bytes.
const CONTACT_MAX_CHARS: usize = 256;
const SPIFFE_ID_MAX_CHARS: usize = 2_048;
const ISSUER_MAX_CHARS: usize = 512;
const TITLE_MAX_CHARS: usize = 256;
/// A SubjectPublicKeyInfo of P-256 has 91 bytes, of Ed25519 44; anything near this is another kind of key.
const PUBLIC_KEY_MAX_BYTES: usize = 1_024;
/// Certificates of authorities have one or two kilobytes.
const CERTIFICATE_MAX_BYTES: usize = 16 * 1_024;
/// The old and the new root of a trust domain, for a few generations.
const AUTHORITIES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ChangeId;
    use crate::store::change::digest;

    fn person(role: Role, partner: Option<&str>) -> Change {
        Change::PutPerson(Person {
            name: "mere".parse().unwrap(),
            role,
            spiffe_id: "spiffe://immigration.example/person/mere".to_owned(),
            public_key: vec![0x30; 91],
            partner: partner.map(|name| name.parse().unwrap()),
            standing: Standing::Active,
            contact: Some("mere@immigration.example".to_owned()),
            unit: Some("auckland".parse().unwrap()),
        })
    }

    fn every_kind() -> Vec<Change> {
        vec![
            Change::MergeSubjects([SubjectId::from_bytes([1; 16]), SubjectId::from_bytes([2; 16])]),
            Change::SplitSubject(SubjectId::from_bytes([3; 16])),
            person(Role::ApprovingOfficer, None),
            person(Role::PartnerSystem, Some("au-border")),
            Change::PutPartner(Partner {
                name: "au-border".parse().unwrap(),
                title: "Border agency".to_owned(),
                trust_domain: "border.au.example".to_owned(),
                authorities: vec![vec![1], vec![2, 3]],
                standing: Standing::Active,
                release_key: None,
                contact: None,
            }),
            Change::PutReleaseKey { partner: "au-border".parse().unwrap(), key: [9; 32] },
            Change::ActivatePolicy(
                Bundle::from_files([("rules/a.cedar".to_owned(), b"permit".to_vec())]).unwrap(),
            ),
            Change::LiftRestriction {
                source_id: "A-1".to_owned(),
                restriction: "protected-identity".parse().unwrap(),
            },
            Change::RestorePartner("au-border".parse().unwrap()),
            Change::RestorePerson("mere".parse().unwrap()),
            Change::RestoreOfficial {
                partner: "au-border".parse().unwrap(),
                official: "officer 7".to_owned(),
            },
            Change::RestoreAgreement("au-border-identity".parse().unwrap()),
            Change::Dispose { class: PayloadClass::Query, before: "2026-02-28".parse().unwrap() },
            Change::ChangeLogKey,
            Change::RenewCollection("watch-face".parse().unwrap()),
            Change::InvitePerson(Invitation {
                person: "mere".parse().unwrap(),
                role: Role::Examiner,
                secret: Digest::from_bytes([3; 32]),
                ends: Timestamp::from_millis(1_767_225_600_000),
            }),
            Change::PutPasskey {
                person: "mere".parse().unwrap(),
                credential: vec![4; 16],
                public_key: vec![5; 91],
            },
            Change::BindAccount {
                person: "mere".parse().unwrap(),
                account: ProviderAccount {
                    issuer: "https://login.example".to_owned(),
                    subject: "7f3a".to_owned(),
                },
            },
        ]
    }

    #[test]
    fn a_change_has_the_same_digest_after_the_wire() {
        let id = ChangeId::from_bytes([7; 16]);
        for change in every_kind() {
            let back = change_from_pb(change_to_pb(&change)).unwrap();
            assert_eq!(digest(id, &back, "why"), digest(id, &change, "why"), "kind `{}`", change.kind());
        }
    }

    #[test]
    fn roles_go_there_and_back() {
        for role in Role::ALL {
            assert_eq!(role_from_pb(role_to_pb(role)), Some(role));
        }
    }

    #[test]
    fn payload_classes_go_there_and_back_and_dates_have_one_form() {
        for class in PayloadClass::ALL {
            assert_eq!(payload_class_from_pb(payload_class_to_pb(class)), Some(class));
        }
        for before in ["", "2026-2-28", "20260228", "2026-02-30", "2026-02-28T00:00", "2026-02-28 "] {
            let payload_class = pb::PayloadClass::Query.into();
            let dispose = pb::Dispose { payload_class, before: before.to_owned() };
            assert!(put_dispose(&dispose).is_err(), "`{before}` was taken for a date");
        }
        assert!(put_dispose(&pb::Dispose { payload_class: 0, before: "2026-02-28".to_owned() }).is_err());
    }

    #[test]
    fn faults_name_their_field() {
        let fault = |change: pb::Change| change_from_pb(change).err().map(|fault| fault.field);
        assert_eq!(fault(pb::Change { change: None }).as_deref(), Some("change"));
        let Some(Which::PutPerson(mut put)) = change_to_pb(&person(Role::Examiner, None)).change else {
            panic!("a person is written as a person")
        };
        put.role = 0;
        let unspecified = pb::Change { change: Some(Which::PutPerson(put.clone())) };
        assert_eq!(fault(unspecified).as_deref(), Some("change.put_person.role"));
        put.role = pb::Role::Examiner.into();
        put.partner = "partners/au-border".to_owned();
        let partnered = pb::Change { change: Some(Which::PutPerson(put)) };
        assert_eq!(fault(partnered).as_deref(), Some("change.put_person.partner"));
        let restore = pb::RestorePerson { person: "mere".to_owned() };
        let bare = pb::Change { change: Some(Which::RestorePerson(restore)) };
        assert_eq!(fault(bare).as_deref(), Some("change.restore_person.person"));
        let empty = pb::Change { change: Some(Which::ActivatePolicy(pb::ActivatePolicy { files: vec![] })) };
        assert_eq!(fault(empty).as_deref(), Some("change.activate_policy.files"));
    }
}
